"""Our own connections against a server that sees every byte; and what they write against what aiohttp writes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from eventproc.destinations import Endpoint
from eventproc.http.pool import PATIENCE
from eventproc.http.sender import HttpSender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from tests.servers.ports import LOOPBACK
from tests.servers.request_bytes import read_request
from tests.servers.waiting import wait_until

LARGE = b"x" * (8 << 20)
DEFAULTS = {"User-Agent": "eventproc", "Accept": "*/*", "Accept-Encoding": "identity"}
HEADERS = {"Content-Type": "application/json", "X-Event-Id": "e1"}
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Wire:
    """A server that keeps every byte of each request, for each connection."""

    answer: bytes = NO_CONTENT
    reads: asyncio.Event | None = None
    """Nothing is read before it is set."""
    early: bool = False
    """It answers the first request before it reads its body."""
    url: str = ""
    connections: list[list[bytes]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    """Of requests that are answered early."""
    ended: int = 0

    @property
    def requests(self) -> list[bytes]:
        return [request for connection in self.connections for request in connection]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received: list[bytes] = []
        self.connections.append(received)
        try:
            if self.early:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
            if self.reads is not None:
                await self.reads.wait()
            while True:
                received.append(await read_request(reader))
                if not self.early:
                    writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended += 1
        finally:
            writer.close()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[Wire]:
    server = await asyncio.start_server(wire.serve, LOOPBACK, 0)
    async with server:
        wire.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/callback?a=b%20c#here"
        yield wire


@asynccontextmanager
async def posting(url: str, seconds: float = 20.0) -> AsyncIterator[HttpSender]:
    env = {
        "DELIVERY_REQUEST_TIMEOUT_SECONDS": f"{seconds}",
        "DELIVERY_CONNECT_TIMEOUT_SECONDS": f"{min(seconds, 5)}",
    }
    sender = HttpSender(Endpoint(url), load_settings(env=env).delivery)
    try:
        yield sender
    finally:
        await sender.close()


async def post(to: HttpSender, body: bytes, headers: dict[str, str] | None = None) -> int:
    response = await asyncio.wait_for(to.send(headers or HEADERS, body), 30)
    assert isinstance(response, Response), response
    return response.status


async def failing(to: HttpSender, body: bytes, headers: dict[str, str] | None = None) -> NoResponse:
    result = await asyncio.wait_for(to.send(headers or HEADERS, body), 30)
    assert isinstance(result, NoResponse)
    return result


async def until(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    await wait_until(holds, 5, what)


def parts(request: bytes) -> tuple[bytes, set[bytes], bytes]:
    """The request line, the headers in whatever order, the body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    return line, set(headers), body


@pytest.mark.parametrize("body", [b'{"a":1}', b"", LARGE], ids=["small", "empty", "large"])
async def test_the_same_goes_out_as_aiohttp_writes(body: bytes) -> None:
    async with listening(Wire()) as wire:
        async with posting(wire.url) as ours:
            assert await post(ours, body) == 204
        # A stream for the large one: aiohttp warns of large bytes.
        given = io.BytesIO(body) if body is LARGE else body
        async with (
            aiohttp.ClientSession(headers=DEFAULTS) as session,
            session.post(URL(wire.url, encoded=True), data=given, headers=HEADERS) as response,
        ):
            assert response.status == 204
    sent, expected = wire.requests
    assert parts(sent) == parts(expected)
    assert sent.count(b"\r\n", 0, sent.index(b"\r\n\r\n")) == len(parts(sent)[1])


async def test_a_header_of_a_request_stands_in_the_place_of_a_default() -> None:
    async with listening(Wire()) as wire, posting(wire.url) as ours:
        await post(ours, b"", {"user-agent": "other", "Content-Type": "text/plain"})
    headers = parts(wire.requests[0])[1]
    assert [name for name in headers if name.lower().startswith(b"user-agent")] == [b"user-agent: other"]


SPLITTING = {
    "a value with a line": {"X-Event-Id": "e1\r\nX-Other: 1"},
    "a value with a request": {"X-Event-Id": "e1\r\n\r\nPOST /other HTTP/1.1\r\nHost: x\r\n\r\n"},
    "a bare line feed": {"X-Event-Id": "e1\nX-Other: 1"},
    "a bare carriage return": {"X-Event-Id": "e1\rX-Other: 1"},
    "a line feed and a return": {"X-Event-Id": "e1\n\r"},
    "NUL": {"X-Event-Id": "e1\0"},
    "a name with a line": {"X-Event-Id\r\nX-Other": "1"},
    "a name with a colon": {"X-Event-Id: 1": "2"},
    "a name with a space": {"X Event": "2"},
    "no name": {"": "2"},
    "a length of its own": {"content-length": "2"},
    "chunks": {"Transfer-Encoding": "chunked"},
    "another host": {"HOST": "other.example"},
    "a name twice": {"X-A": "1", "x-a": "2"},
}


@pytest.mark.parametrize("headers", SPLITTING.values(), ids=SPLITTING.keys())
async def test_a_header_that_would_split_the_request_is_refused(headers: dict[str, str]) -> None:
    async with listening(Wire()) as wire, posting(wire.url) as ours:
        assert (await failing(ours, b"", headers)).kind is FailureKind.PROTOCOL
        assert wire.connections == []
        assert await post(ours, b"next") == 204


@pytest.mark.parametrize(
    "path", ["/a b", "/a\r\nX-Other:1", "/\x00", "/bücher", "/a?q=1 HTTP/1.1", "/\u2028", "/a%0d%0ab", ""]
)
async def test_a_url_splits_no_request(path: str) -> None:
    async with listening(Wire()) as wire, posting(wire.url.partition("/callback")[0] + path) as ours:
        assert await post(ours, b"body") == 204
    line, headers, body = parts(wire.requests[0])
    assert len(line.split(b" ")) == 3
    assert len(headers) == 7
    assert line.isascii()
    assert body == b"body"


async def test_a_receiver_that_reads_late_gets_everything() -> None:
    wire = Wire(reads=asyncio.Event())
    body = b"y" * (900 << 10)
    async with listening(wire), posting(wire.url) as ours:
        posted = asyncio.ensure_future(post(ours, body))
        done, _ = await asyncio.wait([posted], timeout=0.1)
        assert not done
        assert wire.reads is not None
        wire.reads.set()
        assert await posted == 204
    assert wire.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_connection_is_used_again() -> None:
    async with listening(Wire()) as wire, posting(wire.url) as ours:
        for _ in range(3):
            assert await post(ours, b"body") == 204
    assert [len(requests) for requests in wire.connections] == [3]


async def test_of_many_connections_those_that_are_not_needed_are_left_to_time_out() -> None:
    wire = Wire(reads=asyncio.Event())
    async with listening(wire), posting(wire.url) as ours:
        together = [asyncio.ensure_future(post(ours, b"body")) for _ in range(3)]
        await until(lambda: len(wire.connections) == 3, "three are under way")
        assert wire.reads is not None
        wire.reads.set()
        await asyncio.gather(*together)
        for _ in range(6):
            assert await post(ours, b"body") == 204
    assert sorted(len(requests) for requests in wire.connections) == [1, 1, 7]


async def test_two_at_once_share_a_connection_that_is_free_a_moment_later() -> None:
    async with listening(Wire()) as wire, posting(wire.url) as ours:
        for _ in range(5):
            first, second = await asyncio.gather(post(ours, b"one"), post(ours, b"two"))
            assert first == second == 204
    assert [len(connection) for connection in wire.connections] == [10]


async def test_many_at_once_have_connections_of_their_own() -> None:
    """Nobody waits for a receiver that takes its time: all are with it long before it answers one."""
    wire = Wire(reads=asyncio.Event())
    async with listening(wire), posting(wire.url) as ours:
        together = asyncio.gather(*(post(ours, b"%d" % number) for number in range(8)))
        await until(lambda: len(wire.connections) == 8, "each has a connection")
        assert wire.reads is not None
        wire.reads.set()
        assert await together == [204] * 8


async def test_who_waits_for_a_connection_gets_it_also_where_the_one_before_has_given_up() -> None:
    wire = Wire(reads=asyncio.Event())
    async with listening(wire), posting(wire.url) as ours:
        first = asyncio.create_task(post(ours, b"first"))
        await until(lambda: len(wire.connections) == 1, "the first is connected")
        waiting = [asyncio.create_task(post(ours, b"%d" % number)) for number in range(PATIENCE)]
        await asyncio.sleep(0)
        assert len(wire.connections) == 1
        for task in (waiting[0], first):
            task.cancel()
        assert wire.reads is not None
        wire.reads.set()
        assert await asyncio.gather(*waiting[1:]) == [204] * (PATIENCE - 1)


async def test_a_receiver_that_answers_before_it_has_read_gets_the_next_by_another_connection() -> None:
    wire = Wire(reads=asyncio.Event(), early=True)
    async with listening(wire), posting(wire.url) as ours:
        assert await post(ours, LARGE) == 204
        assert await post(ours, b"small") == 204
        await until(lambda: len(wire.connections) == 2, "there is another connection")


async def test_what_is_not_written_when_time_is_over_is_not_kept() -> None:
    wire = Wire(reads=asyncio.Event())
    async with listening(wire), posting(wire.url, seconds=0.3) as ours:
        assert (await failing(ours, LARGE)).kind is FailureKind.TIMEOUT
        assert wire.reads is not None
        wire.reads.set()
        await until(lambda: wire.ended == 1, "the connection has ended in the middle of the body")


async def test_connections_are_closed_at_once_while_a_receiver_does_not_read() -> None:
    wire = Wire(reads=asyncio.Event())
    async with listening(wire), posting(wire.url) as ours:
        posted = asyncio.ensure_future(post(ours, LARGE))
        await until(lambda: len(wire.connections) == 1, "the request is under way")
        await asyncio.wait_for(ours.close(), 5)
        with pytest.raises(AssertionError, match="connect"):
            await posted
        assert wire.reads is not None
        wire.reads.set()


async def test_no_answer_in_time_is_a_timeout_and_its_connection_closed() -> None:
    wire = Wire(answer=b"HTTP/1.1 100 Continue\r\n\r\n")
    async with listening(wire), posting(wire.url, seconds=0.3) as ours:
        assert (await failing(ours, b"body")).kind is FailureKind.TIMEOUT
        await until(lambda: wire.ended == 1, "the connection is closed")


async def test_a_request_that_is_cancelled_leaves_nothing_behind() -> None:
    wire = Wire(answer=b"")
    async with listening(wire), posting(wire.url) as ours:
        posted = asyncio.ensure_future(post(ours, b"body"))
        await until(lambda: bool(wire.requests), "the request has come")
        posted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posted
        await until(lambda: wire.ended == 1, "the connection is closed")


async def test_no_task_is_made_for_a_request() -> None:
    made: list[Any] = []

    def count(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> Any:
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    async with listening(Wire()) as wire, posting(wire.url) as ours:
        await post(ours, b"warm up")
        asyncio.get_running_loop().set_task_factory(cast("Any", count))
        try:
            await ours.send(HEADERS, b"body")
        finally:
            asyncio.get_running_loop().set_task_factory(None)
    assert made == []
