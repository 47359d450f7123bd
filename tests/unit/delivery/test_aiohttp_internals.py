from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from eventproc.delivery.aiohttp_internals import REQUEST_CLASS, DirectRequest
from tests.servers.ports import LOOPBACK
from tests.servers.request_bytes import read_request

LARGE = b"x" * (8 << 20)
HEADERS = {"Content-Type": "application/json", "X-Event-Id": "e1"}


@asynccontextmanager
async def wire(slow: asyncio.Event | None = None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that keeps every byte of a request, and starts to read when ``slow`` is set."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if slow is not None:
            await slow.wait()
        received.append(await read_request(reader))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/callback", received


async def post(url: str, request_class: type[aiohttp.ClientRequest], body: Any) -> int:
    async with (
        aiohttp.ClientSession(request_class=request_class) as session,
        session.post(url, data=body, headers=HEADERS) as response,
    ):
        return response.status


@pytest.mark.parametrize("body", [b'{"a":1}', b"", LARGE], ids=["small", "empty", "large"])
async def test_the_same_bytes_go_out_as_aiohttp_writes(body: bytes) -> None:
    async with wire() as (url, received):
        # A stream for the large one: aiohttp warns of large bytes, which hold up its loop.
        for request_class in (aiohttp.ClientRequest, DirectRequest):
            given = io.BytesIO(body) if body is LARGE else body
            assert await asyncio.wait_for(post(url, request_class, given), 30) == 204
    theirs, ours = received
    assert ours.endswith(body)
    assert ours == theirs


async def test_a_receiver_that_reads_late_gets_everything() -> None:
    reads = asyncio.Event()
    body = b"y" * (900 << 10)
    async with wire(reads) as (url, received):
        posted = asyncio.ensure_future(post(url, DirectRequest, body))
        done, _ = await asyncio.wait([posted], timeout=0.1)
        assert not done
        reads.set()
        assert await asyncio.wait_for(posted, 30) == 204
    assert received[0].endswith(b"\r\n\r\n" + body)


async def tasks_of_a_post(request_class: type[aiohttp.ClientRequest]) -> int:
    made: list[Any] = []

    def count(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async with wire() as (url, _), aiohttp.ClientSession(request_class=request_class) as session:
        async with session.post(url, data=b"warm up", headers=HEADERS):
            pass
        asyncio.get_running_loop().set_task_factory(cast("Any", count))
        try:
            async with session.post(url, data=b"body", headers=HEADERS):
                pass
        finally:
            asyncio.get_running_loop().set_task_factory(None)
    return sum("write_bytes" in repr(work) for work in made)


async def test_aiohttp_still_makes_a_task_for_a_body_and_we_do_not() -> None:
    if sys.version_info >= (3, 12):
        assert REQUEST_CLASS is aiohttp.ClientRequest
    else:
        assert REQUEST_CLASS is DirectRequest
        assert await tasks_of_a_post(aiohttp.ClientRequest) == 1
    assert await tasks_of_a_post(DirectRequest) == 0
