"""The only place that touches the insides of aiohttp (3.14), and why.

``PreparedPost``
    Of what aiohttp's client does for a POST, more than half is deciding anew what is the same each time: URL,
    cookies, credentials, proxy, headers, a task for the body, a timer with its context (callgrind: 413,000
    instructions for each POST, of which 252,000 are that). Here that is decided once, by an
    ``aiohttp.ClientRequest`` that is never sent; connections, TLS, names, headers' bytes and the parser stay
    aiohttp's. A delivery costs a fifth less for it.
    aiohttp also takes the connection that has been idle for longest, so that all of a busy moment are kept in
    use for ever, each idle for as long as can be; here it is the one used last, and the others time out.
    And it opens one at once where none is idle, though most are a moment later: two events for each of 1,000
    destinations opened 1,000 connections, each dearer than a delivery. Here up to ``PATIENCE`` requests in a
    row wait for that moment, and no more of them: many at once need connections of their own.
    Proof: tests/unit/http/test_aiohttp_internals.py, tests/contract/test_sender.py.

``BoundedHandler``
    aiohttp bounds lines and their number, and nothing of what it passes over: interim (1xx) responses, empty
    lines before a response, a chunk's leading zeros and extensions. A receiver that sends these without end
    has a request's whole time of them, gigabytes, and takes the processor from all others (measured: 36 s in
    place of 0.1 for 20 requests to a neighbour). So bytes are counted from one request to the next. It takes
    what comes on an idle connection for the next request's response, and leaves the reader of a body waiting
    that turns out malformed.
    Proof: tests/contract/test_hostile_receiver.py.
    aiohttp also keeps idle connections for one time, whatever the receiver does (``keep_alive.py``), and what
    a receiver does not read for longer than its request.
    Proof: tests/contract/test_keep_alive.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_writer import _serialize_headers
from yarl import URL

from eventproc.http.keep_alive import KeepAlive

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from multidict import CIMultiDictProxy


RESPONSE_BYTES: Final = 128 << 10
"""Of one response, heads and framing included, give or take what one read brings. An excerpt has half."""

WRITTEN_AT_ONCE_BYTES: Final = 64 << 10
"""A larger request goes out in pieces, as the receiver reads: TLS of 8 MiB holds up the loop for 0.15 s."""

PATIENCE: Final = 2
PATIENCE_SECONDS: Final = 0.02
"""So many requests in a row may wait for a connection that is in use, each so long."""

PIECE_BYTES: Final = 4096
MESSAGES: Final = 16
"""Interim responses that may come at once, and how much is read before they are counted."""


class BoundedHandler(ResponseHandler):
    """A connection that writes requests, bounds responses, and tells when the receiver closes it idle."""

    _bounded_parser: object = None
    _received_bytes = 0
    _received_at = 0.0
    _is_idle = False
    _writer: asyncio.Task[None] | None = None

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
        if self._is_idle:
            self._refuse("a response that nobody asked for")  # or it would be taken for the next request's
            return
        self._received_at = self._loop.time()
        if self._parser is not self._bounded_parser:
            self._bounded_parser = self._parser
            self._received_bytes = 0
        if self._received_bytes > RESPONSE_BYTES:
            self._refuse("more than a response may have")
            return
        self._received_bytes += len(data)
        for start in range(0, max(1, len(data)), PIECE_BYTES):
            super().data_received(data if len(data) <= PIECE_BYTES else data[start : start + PIECE_BYTES])
            if len(self._buffer) > MESSAGES:
                self._refuse("more than a response may have")
            if self._exception is not None:
                self._fail_payload(aiohttp.ClientPayloadError("malformed"))  # aiohttp leaves it waiting
                return

    def send(self, request: bytes) -> None:
        """Write a request; its response is the next to be read.

        Raises:
            aiohttp.ClientConnectionResetError: the receiver has closed the connection as soon as it was open,
                or has sent something already.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("closed as soon as it was open")
        if self.should_close:
            raise aiohttp.ClientConnectionResetError("an answer that came before the request")
        self._is_idle = False
        self.set_response_params(read_until_eof=True, auto_decompress=False)
        if len(request) <= WRITTEN_AT_ONCE_BYTES:
            transport.write(request)
        else:
            self._writer = self._loop.create_task(self._write_in_pieces(request))

    def expire(self) -> None:
        """Whoever waits for a response waits no longer."""
        self.set_exception(aiohttp.SocketTimeoutError("no answer in time"))

    def rest(self) -> bool:
        """The response has been read. Whether another request may follow; False: something is not written."""
        is_written = self._writer is None or self._writer.done()
        transport = self.transport
        self._is_idle = (
            is_written
            and transport is not None
            and not transport.get_write_buffer_size()
            and not self._reading_paused
        )
        return self._is_idle

    def give_up(self) -> None:
        """End at once: a transport that is closed waits for a receiver to read what it may never read."""
        if self._writer is not None:
            self._writer.cancel()
        self.abort()

    def close(self) -> None:
        """As aiohttp's, or at once where something is not written."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.give_up()
        else:
            super().close()

    async def _write_in_pieces(self, request: bytes) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):  # whoever reads hears of it
            for start in range(0, len(request), WRITTEN_AT_ONCE_BYTES):
                if self.transport is None:
                    return
                self.transport.write(request[start : start + WRITTEN_AT_ONCE_BYTES])
                await self._drain_helper()

    def _refuse(self, why: str) -> None:
        error = aiohttp.ClientPayloadError(why)
        self.set_exception(error)
        self._fail_payload(error)
        if self.transport is not None:
            self.transport.abort()

    def _fail_payload(self, error: BaseException) -> None:
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)


def own_connections(connector: aiohttp.BaseConnector) -> None:
    """Have its connections bounded and kept as long as the receiver keeps them, before the first is made."""
    loop: asyncio.AbstractEventLoop = connector._loop  # noqa: SLF001
    keep_alive = KeepAlive(loop.time)

    def connection() -> BoundedHandler:
        connector._keepalive_timeout = keep_alive.seconds  # noqa: SLF001
        return BoundedHandler(loop, keep_alive)

    factory: Any = connection
    connector._factory = factory  # noqa: SLF001


@dataclass(slots=True)
class PostResponse:
    """Status and headers of a response, and its body as it comes; ``end`` must follow.

    ``deadline`` is the loop's time until which the body may come; it is for the reader to keep.
    """

    connection: Connection
    deadline: float
    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader
    ended: Callable[[], None]

    def end(self) -> None:
        """Give the connection back; close it where one of both has not read all of what the other sent."""
        handler = cast("BoundedHandler | None", self.connection.protocol)
        if handler is None:
            return
        if self.content.is_eof() and handler.rest():
            self.connection.release()
        else:
            handler.give_up()
            self.connection.close()
        self.ended()


class PreparedPost:
    """POSTs to one URL by connections that are ``own_connections``; made within the running loop.

    Args:
        url: where to, without credentials.
        connector: whose connections.
        headers: of each request, beside its own.
        request_seconds: for all of a request, from looking for a connection to the response's head.
        connect_seconds: for one attempt to connect.
        proxy: a proxy's URL, or None.
    """

    def __init__(
        self,
        url: URL,
        connector: aiohttp.BaseConnector,
        headers: Mapping[str, str],
        *,
        request_seconds: float,
        connect_seconds: float,
        proxy: str | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.connector = connector
        self._url = url
        self._headers = headers
        self._proxy = None if proxy is None else URL(proxy)
        self._request_seconds = request_seconds
        self._timeout = aiohttp.ClientTimeout(
            connect=request_seconds, sock_connect=connect_seconds, ceil_threshold=math.inf
        )
        self._under_way = 0
        self._patience = PATIENCE
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._request = self._make_request()
        self._key = self._request.connection_key
        by_proxy = proxy is not None and not self._request.is_ssl()
        self._request_line = f"POST {url.with_fragment(None) if by_proxy else url.raw_path_qs} HTTP/1.1"

    @property
    def _idle(self) -> Mapping[Any, deque[Any]]:
        """By their keys, the one used last at the end; the connector makes it anew when it cleans up."""
        return self.connector._conns  # noqa: SLF001

    async def send(self, headers: Mapping[str, str], body: bytes) -> PostResponse:
        """POST once; no redirect is followed, nothing is decompressed.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there is no response.
            ValueError: a header cannot be written.
        """
        deadline = self._loop.time() + self._request_seconds
        if self._key in self._idle:
            self._patience = PATIENCE
        elif self._under_way and self._patience:
            self._patience -= 1
            await self._wait_for_idle()
        self._under_way += 1
        try:
            return await self._post(headers, body, deadline)
        except BaseException as error:
            self._ended()
            if isinstance(error, HttpProcessingError):
                raise self._response_error(error) from error
            raise

    async def _post(self, headers: Mapping[str, str], body: bytes, deadline: float) -> PostResponse:
        request = self._request if self._proxy is None else self._make_request()  # a proxy's is written to
        if (idle := self._idle.get(self._key)) is not None:
            idle.rotate(1)
        connection = await self.connector.connect(request, [], self._timeout)
        handler = cast("BoundedHandler", connection.protocol)
        if self._loop.time() >= deadline:
            connection.close()
            raise aiohttp.SocketTimeoutError("no connection in time")
        timer = self._loop.call_at(deadline, handler.expire)
        try:
            handler.send(self._head(request, headers, len(body)) + body)
            message, content = await handler.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await handler.read()
        except BaseException:
            handler.give_up()
            connection.close()
            raise
        finally:
            timer.cancel()
        return PostResponse(connection, deadline, message.code, message.headers, content, self._ended)

    async def _wait_for_idle(self) -> None:
        """Wait a moment for one of the requests under way to end."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        # In two steps: what has come while the loop was busy is read between them.
        timer = self._loop.call_later(PATIENCE_SECONDS, self._loop.call_later, 0.001, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def _ended(self) -> None:
        self._under_way -= 1
        while self._waiting and not _wake(self._waiting.popleft()):
            pass  # that one has waited long enough, or was cancelled

    def _make_request(self) -> aiohttp.ClientRequest:
        return aiohttp.ClientRequest(
            "POST",
            self._url,
            headers=self._headers,
            proxy=self._proxy,
            proxy_headers=self._headers,
            loop=self._loop,
        )

    def _response_error(self, error: HttpProcessingError) -> aiohttp.ClientResponseError:
        info = self._request.request_info
        return aiohttp.ClientResponseError(
            info, (), status=error.code, message=error.message, headers=error.headers
        )

    def _head(self, request: aiohttp.ClientRequest, headers: Mapping[str, str], body_bytes: int) -> bytes:
        merged = request.headers.copy()
        merged.update(headers)
        merged["Content-Length"] = str(body_bytes)
        return _serialize_headers(self._request_line, merged)


def _wake(waiter: asyncio.Future[None]) -> bool:
    """Whether it was still waiting."""
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
