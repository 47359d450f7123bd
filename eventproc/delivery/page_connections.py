"""Bounds the connections to the pages, so that silent ones cannot use up a worker's descriptors.

A connection that sends no request costs its sender nothing, and the worker a descriptor that a receiver's
connection needs. aiohttp bounds neither their number nor, by default, their time (its keep-alive is an hour).
So at most ``connections_max`` are open. A new one takes the place of the one that has been idle for longest;
it is refused only where a request is being answered on each.

Descriptors are accepted before this module sees them, up to a backlog at once; hence ``BACKLOG``.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

from aiohttp import web

CONNECTIONS_MAX: Final = 128
"""Prometheus, probes and some browsers have a few each."""

DESCRIPTORS_SHARE: Final = 1 / 8
"""Of the worker's limit of open files; the rest is for Kafka and receivers."""

BACKLOG: Final = 16
IDLE_SECONDS: Final = 75.0
"""More than a scrape's usual interval, so that Prometheus keeps its connection."""


def connections_max() -> int:
    """How many connections may be open under the limit of open files in force."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, int(soft * DESCRIPTORS_SHARE)))


class PageConnections:
    """Knows every open connection, and which of them are answering a request."""

    def __init__(self) -> None:
        self._idle: dict[web.RequestHandler, asyncio.Transport] = {}
        """In the order in which they became idle, the one that is for longest first."""
        self._busy: dict[web.RequestHandler, asyncio.Transport] = {}

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._idle) + len(self._busy)

    def factory(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """What ``create_server`` takes, to serve the server's pages within the bound."""
        return lambda: _Connection(server(), self)

    def open(self, handler: web.RequestHandler, transport: asyncio.Transport) -> bool:
        """Take a new connection, in place of another if need be; False where it must be refused."""
        while self.count >= connections_max():
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self._idle.pop(longest).abort()  # close() would wait for a client that does not read
        self._idle[handler] = transport
        return True

    def closed(self, handler: web.RequestHandler) -> None:
        """Forget a connection that has ended."""
        self._idle.pop(handler, None)
        self._busy.pop(handler, None)

    @contextmanager
    def answering(self, handler: web.RequestHandler) -> Iterator[None]:
        """Give this connection's place to no other while a request on it is answered."""
        if (transport := self._idle.pop(handler, None)) is not None:
            self._busy[handler] = transport
        try:
            yield
        finally:
            if (transport := self._busy.pop(handler, None)) is not None:
                self._idle[handler] = transport


class _Connection(asyncio.Protocol):
    """aiohttp's protocol, counted from when the connection is open to when it is lost."""

    def __init__(self, handler: web.RequestHandler, connections: PageConnections) -> None:
        self._handler = handler
        self._connections = connections
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's is no subclass of asyncio's
        self._is_refused = not self._connections.open(self._handler, stream)
        if self._is_refused:
            stream.abort()
        else:
            self._handler.connection_made(stream)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_refused:
            self._connections.closed(self._handler)
            self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            self._handler.data_received(data)

    def eof_received(self) -> None:
        if not self._is_refused:
            self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()
