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
    aiohttp also keeps idle connections for one time, whatever the receiver does (``keep_alive.py``).
    Proof: tests/contract/test_keep_alive.py.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.payload import BytesPayload

from eventproc.delivery.keep_alive import KeepAlive

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
    """A connection that ends when a response is too much, and tells when the receiver closes it idle."""

    _bounded_parser: object = None
    _received_bytes = 0
    _received_at = 0.0

    def __init__(self, loop: asyncio.AbstractEventLoop, keep_alive: KeepAlive) -> None:
        super().__init__(loop)
        self._keep_alive = keep_alive

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp's. Idle: not closed by us, and no request since the last response was complete."""
        if self.transport is not None and self._parser is self._bounded_parser and not self.should_close:
            self._keep_alive.closed_by_receiver(self._loop.time() - self._received_at)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As aiohttp's, within bounds; there is a new parser for each request."""
        self._received_at = self._loop.time()
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


def own_connections(connector: aiohttp.BaseConnector) -> None:
    """Have its connections bounded and kept as long as the receiver keeps them, before the first is made."""
    loop: asyncio.AbstractEventLoop = connector._loop  # noqa: SLF001
    keep_alive = KeepAlive(loop.time)

    def connection() -> BoundedHandler:
        connector._keepalive_timeout = keep_alive.seconds  # noqa: SLF001
        return BoundedHandler(loop, keep_alive)

    factory: Any = connection
    connector._factory = factory  # noqa: SLF001
