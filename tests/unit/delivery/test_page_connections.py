"""Silent connections to the pages are bounded, and shut out no one who asks."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from eventproc.delivery import page_connections
from eventproc.delivery.page_connections import CONNECTIONS_MAX, PageConnections, connections_max

BOUND = 4
REQUEST = b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"


class Pages:
    """A server whose ``/slow`` answers when ``release`` is set."""

    def __init__(self, port: int, connections: PageConnections, release: asyncio.Event) -> None:
        self.port = port
        self.connections = connections
        self.release = release
        self.clients = AsyncExitStack()

    async def connect(self, sends: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.callback(writer.close)
        if sends:
            writer.write(sends)
        return reader

    async def get(self, path: bytes = b"") -> bytes:
        reader = await self.connect(REQUEST % path)
        return await asyncio.wait_for(reader.readline(), 20)


@asynccontextmanager
async def pages(monkeypatch: pytest.MonkeyPatch, idle_seconds: float = 3600.0) -> AsyncIterator[Pages]:
    monkeypatch.setattr(page_connections, "CONNECTIONS_MAX", BOUND)
    connections, release = PageConnections(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        with connections.answering(request.protocol):
            if request.path == "/slow":
                await release.wait()
            return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=idle_seconds)
    await runner.setup()
    assert runner.server is not None
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(connections.factory(runner.server), "127.0.0.1", 0)
    one = Pages(listener.sockets[0].getsockname()[1], connections, release)
    async with one.clients:
        yield one
        release.set()
        listener.close()
    await runner.cleanup()


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the server has ended the connection."""
    try:
        assert await asyncio.wait_for(reader.read(), 20) == b""
    except ConnectionResetError:
        return


async def test_the_one_that_is_idle_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pages(monkeypatch) as site:
        silent = [await site.connect(b"" if number % 2 else b"GET / HT") for number in range(3 * BOUND)]
        for reader in silent[: 2 * BOUND]:
            await ended(reader)
        assert site.connections.count == BOUND
        assert await site.get() == b"HTTP/1.1 200 OK\r\n"
        await ended(silent[2 * BOUND])
        assert not any(reader.at_eof() for reader in silent[2 * BOUND + 1 :])
        assert site.connections.count == BOUND


async def test_a_request_that_is_being_answered_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pages(monkeypatch) as site:
        slow = [await site.connect(REQUEST % b"slow") for _ in range(BOUND - 1)]
        silent = [await site.connect() for _ in range(3)]
        await ended(silent[0])
        await ended(silent[1])
        last = await site.connect(REQUEST % b"slow")
        await ended(silent[2])
        refused = await site.connect()
        await ended(refused)
        site.release.set()
        for reader in [*slow, last]:
            assert await asyncio.wait_for(reader.readline(), 20) == b"HTTP/1.1 200 OK\r\n"
        assert await site.get() == b"HTTP/1.1 200 OK\r\n"


async def test_a_connection_without_a_request_is_ended_after_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pages(monkeypatch, idle_seconds=0.05) as site:
        for sends in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n"):
            await ended(await site.connect(sends))
        assert site.connections.count == 0


async def test_connections_that_end_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with pages(monkeypatch) as site:
        for _ in range(3 * BOUND):
            assert await site.get() == b"HTTP/1.1 200 OK\r\n"
            await site.clients.aclose()
        kept = await site.connect(REQUEST % b"slow")
        site.release.set()
        assert await asyncio.wait_for(kept.readline(), 20) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [(65_536, CONNECTIONS_MAX), (1024, 128), (128, 16), (4, 1), (resource.RLIM_INFINITY, CONNECTIONS_MAX)],
)
def test_receivers_keep_most_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, files: int, expected: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (files, files))
    assert connections_max() == expected
