"""The only place that touches the insides of aiohttp (3.14), and why.

``DirectRequest``
    aiohttp writes a body in a task of its own, which Python before 3.12 cannot start at once: for each POST a
    task, its entry in asyncio's weak set, two callbacks and a round of the loop, an eighth of what a POST
    costs (callgrind: 45,000 of 413,000 instructions). A body that is in memory and may be written now needs
    none of it. From Python 3.12 on aiohttp starts the task eagerly, and this class is not used.
    Proof: tests/unit/delivery/test_aiohttp_internals.py.

``BoundedHandler``
    aiohttp bounds lines and their number, and nothing of what it passes over: interim (1xx) responses, empty
    lines before a response, a chunk's leading zeros and extensions. A receiver that sends these without end
    has a request's whole time of them, gigabytes, and takes the processor from all others (measured: 36 s in
    place of 0.1 for 20 requests to a neighbour). So bytes are counted from one request to the next.
    Proof: tests/contract/test_hostile_receiver.py.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.payload import BytesPayload

if TYPE_CHECKING:
    from aiohttp.connector import Connection


RESPONSE_BYTES: Final = 128 << 10
"""Of one response, heads and framing included, give or take what one read brings. An excerpt has half."""

PIECE_BYTES: Final = 4096
MESSAGES: Final = 16
"""Interim responses that may come at once, and how much is read before they are counted."""


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


class BoundedHandler(ResponseHandler):
    """A connection that ends when a response is too much."""

    _bounded_parser: object = None
    _received_bytes = 0

    def data_received(self, data: bytes) -> None:
        """As aiohttp's, within bounds; there is a new parser for each request."""
        if self._parser is not self._bounded_parser:
            self._bounded_parser = self._parser
            self._received_bytes = 0
        if self._received_bytes > RESPONSE_BYTES:
            self._refuse()
            return
        self._received_bytes += len(data)
        if len(data) <= PIECE_BYTES:
            super().data_received(data)
            return
        for start in range(0, len(data), PIECE_BYTES):
            super().data_received(data[start : start + PIECE_BYTES])
            if len(self._buffer) > MESSAGES:
                self._refuse()
            if self._exception is not None:
                return

    def _refuse(self) -> None:
        payload, transport = self._payload, self.transport
        error = aiohttp.ClientPayloadError("more than a response may have")
        self.set_exception(error)
        if payload is not None:
            payload.set_exception(error)
        if transport is not None:
            transport.abort()


def bound_responses(connector: aiohttp.BaseConnector) -> None:
    """Have its connections bounded, before the first is made."""
    factory: Any = partial(BoundedHandler, loop=connector._loop)  # noqa: SLF001
    connector._factory = factory  # noqa: SLF001
