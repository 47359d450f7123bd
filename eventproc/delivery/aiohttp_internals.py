"""The only place that touches the insides of aiohttp (3.11 to 3.14), and why.

``DirectRequest``
    aiohttp writes a body in a task of its own, which Python before 3.12 cannot start at once: for each POST a
    task, its entry in asyncio's weak set, two callbacks and a round of the loop, an eighth of what a POST
    costs (callgrind: 45,000 of 413,000 instructions). A body that is in memory and may be written now needs
    none of it. From Python 3.12 on aiohttp starts the task eagerly, and this class is not used.
    Proof: tests/unit/delivery/test_aiohttp_internals.py.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.payload import BytesPayload

if TYPE_CHECKING:
    from aiohttp.connector import Connection


class DirectRequest(aiohttp.ClientRequest):
    """Writes a body of bytes right behind the headers."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """As aiohttp's; whatever is not plain bytes, or meets a full socket, goes aiohttp's way."""
        payload, protocol = self._body, conn.protocol
        if (
            not isinstance(payload, BytesPayload)
            or protocol is None
            or protocol.writing_paused
            or protocol.transport is None
            or self._continue is not None
            or self.chunked
            or self.compress
        ):
            return await super().send(conn)
        self._body = None
        response = await super().send(conn)
        protocol.transport.write(payload._value)  # noqa: SLF001 - the bytes given
        return response


REQUEST_CLASS: Final = aiohttp.ClientRequest if sys.version_info >= (3, 12) else DirectRequest
