"""Which answers count as accepted, from a real socket, and what becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from eventproc.destinations import Endpoint
from eventproc.http.sender import HttpSender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from tests.cases.http_answers import AnswerCase, http_answers
from tests.contract.senders import SENDERS, MakeSender
from tests.servers.ports import LOOPBACK
from tests.servers.request_bytes import read_request

DELIVERY = load_settings(env={}).delivery
NEXT = b"HTTP/1.1 201 Next\r\nContent-Length: 0\r\n\r\n"
WAIT_SECONDS = 20.0
LIMIT = 128 << 10

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

STRICT = {case.name for case in http_answers() if case.right == "either"} | {
    *("header-ctl", "header-space-colon", "header-space-name", "lf-only", "dup-cl", "cl-list", "cl-and-te"),
    *("chunked-padded", "204-body-cl", "conn-close-extra"),
}
"""What aiohttp's parser refuses, or may."""


def case(name: str, answer: bytes, *, closes: bool = False) -> AnswerCase:
    return AnswerCase(name, answer, closes, "taken")


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"", b""))


MORE = [
    case("as many headers as there is room for", head(*[b"A: b"] * 21_000)),
    case("a header as long as there is room for", head(b"A: " + b"b" * (LIMIT - 100), b"Content-Length: 0")),
    case("204 with chunks", head(b"Transfer-Encoding: chunked", status=b"204 No") + b"2\r\nok\r\n0\r\n\r\n"),
    case("204 with a length and nothing", head(b"Content-Length: 2", status=b"204 No")),
    case("204 with a page", head(status=b"204 No") + b"<html>"),
    case("205 with a body", head(b"Content-Length: 2", status=b"205 Reset") + b"ok"),
    case("more than its length", head(b"Content-Length: 2") + b"okEXTRA"),
    case(
        "another response behind it",
        head(b"Content-Length: 0") + head(b"Content-Length: 0", status=b"500 No"),
    ),
    case("less than its length", head(b"Content-Length: 9") + b"ok", closes=True),
    case("two lengths that differ", head(b"Content-Length: 2", b"Content-Length: 3") + b"ok"),
    case("a length that is negative", head(b"Content-Length: -1")),
    case("a length beyond all numbers", head(b"Content-Length: " + b"9" * 40)),
    case("a length with a unit", head(b"Content-Length: 2 bytes") + b"ok"),
    case("no length at all", head(b"Content-Length:") + b"ok"),
    case("chunks and their length", head(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    case("chunks that are none", head(b"Transfer-Encoding: chunked") + b"no chunk\r\n"),
    case("a chunk longer than it says", head(b"Transfer-Encoding: chunked") + b"2\r\nokok\r\n0\r\n\r\n"),
    case("a chunk of negative size", head(b"Transfer-Encoding: chunked") + b"-2\r\nok\r\n"),
    case("a coding that does not exist", head(b"Transfer-Encoding: identity") + b"ok", closes=True),
    case("a continued line before any header", head(b" folded", b"Content-Length: 2") + b"ok"),
    case("bare and proper line ends", b"HTTP/1.1 200 OK\nA: b\r\nContent-Length: 2\n\r\nok"),
    case("a bare carriage return", head(b"A: b\rC: d", b"Content-Length: 2") + b"ok"),
    case("a name that is not ASCII", head("Grüße: x".encode(), b"Content-Length: 2") + b"ok"),
    case("a tab behind the version", b"HTTP/1.1\t200\tOK\r\nContent-Length: 0\r\n\r\n"),
    case("spaces behind the version", b"HTTP/1.1   200 OK\r\nContent-Length: 0\r\n\r\n"),
    case("no minor version", b"HTTP/1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    case(
        "many interim responses",
        b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n" * 50 + head(b"Content-Length: 0"),
    ),
    case(
        "an interim response and a fault", b"HTTP/1.1 100 Go\r\n\r\n" + head(b"A B: c", b"Content-Length: 0")
    ),
    case("an interim response with a fault", b"HTTP/1.1 102 Go\nA B: c\n\n" + head(b"Content-Length: 0")),
]

NO_ANSWER = {
    "nothing": b"",
    "a page without a head": b"<!DOCTYPE html><title>hello</title>",
    "SSH": b"SSH-2.0-OpenSSH_9\r\n",
    "mail": b"220 mail.example ESMTP\r\n",
    "a TLS alert": bytes.fromhex("15030100020228"),
    "an HTTP/2 preface": bytes.fromhex("00000604000000000000"),
    "a request": b"POST /callback HTTP/1.1\r\nHost: x\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status that is a word": b"HTTP/1.1 OK\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "a head that does not end": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
    "interim responses alone": b"HTTP/1.1 100 Continue\r\n\r\n",
    "too many headers": head(*[b"A: b"] * 30_000),
    "another protocol": head(b"Upgrade: h2c", b"Connection: upgrade", status=b"101 Switching"),
}


@dataclass
class Receiver:
    """Answers the first request as told, and each later one with 201."""

    answer: bytes
    closes: bool
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.requests.append(await read_request(reader))
                is_first = len(self.requests) == 1
                writer.write(self.answer if is_first else NEXT)
                await writer.drain()
                if is_first and self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server; at the end its connections have ended, too."""
    under_way: set[asyncio.Future[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    async with server:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/callback"
        if under_way:
            await asyncio.wait(under_way, timeout=WAIT_SECONDS)


@asynccontextmanager
async def answering(answer: bytes, *, closes: bool) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer, closes)
    async with serving(receiver.serve) as receiver.url:
        yield receiver


async def first_and_next(
    make_sender: MakeSender, one: AnswerCase
) -> tuple[Response | NoResponse, Response | NoResponse, Receiver]:
    async with answering(one.answer, closes=one.closes) as receiver:
        sender = make_sender(Endpoint(receiver.url), DELIVERY)
        try:
            first = await asyncio.wait_for(sender.send({}, b"first"), WAIT_SECONDS)
            following = await asyncio.wait_for(sender.send({}, b"next"), WAIT_SECONDS)
        finally:
            await sender.close()
        return first, following, receiver


@pytest.mark.parametrize("one", [*http_answers(), *MORE], ids=lambda one: one.name)
async def test_a_complete_head_is_an_answer(one: AnswerCase) -> None:
    first, following, receiver = await first_and_next(HttpSender, one)
    if one.right == "taken":
        assert isinstance(first, Response)
        assert 200 <= first.status < 300
    if one.right == "failed":
        assert isinstance(first, NoResponse)
    assert isinstance(following, Response)
    assert following.status == 201, "never what the first request left over"
    assert [request[-5:].strip() for request in receiver.requests] == [b"first", b"next"]


@pytest.mark.parametrize("one", http_answers(), ids=lambda one: one.name)
async def test_aiohttp_understands_what_keeps_to_the_grammar(one: AnswerCase) -> None:
    first, following, _ = await first_and_next(SENDERS["aiohttp"], one)
    if one.right == "taken" and one.name not in STRICT:
        assert isinstance(first, Response)
    assert isinstance(following, Response)


@pytest.mark.parametrize("answer", NO_ANSWER.values(), ids=NO_ANSWER.keys())
async def test_what_is_no_answer_is_shown(answer: bytes) -> None:
    first, following, _ = await first_and_next(
        HttpSender, AnswerCase("", answer, closes=True, right="failed")
    )
    assert isinstance(first, NoResponse)
    assert first.kind is (FailureKind.PROTOCOL if answer else FailureKind.CONNECT)
    assert repr(answer[:12])[2:-1] in first.detail
    assert "400" not in first.detail
    assert isinstance(following, Response)


async def test_the_end_at_each_byte_is_a_failure_within_the_head_and_an_answer_behind_it() -> None:
    beginning = head(b"Content-Length: 2")
    answer = beginning + b"ok"
    for length in range(0, len(answer) + 1, 3):
        first, _, _ = await first_and_next(
            HttpSender, AnswerCase("", answer[:length], closes=True, right="either")
        )
        assert isinstance(first, Response if length >= len(beginning) else NoResponse), length


async def test_a_receiver_that_sends_more_than_its_responses_gets_a_connection_for_each_request() -> None:
    """Else what it sends late would be the beginning of the next response."""
    connections = 0

    async def answer_and_go_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await read_request(reader):
                writer.write(head(b"Content-Length: 2") + b"ok")
                await asyncio.sleep(0.05)
                writer.write(b"EXTRA")
        writer.close()

    async with serving(answer_and_go_on) as url:
        sender = HttpSender(Endpoint(url), DELIVERY)
        assert isinstance(await sender.send({}, b"first"), Response)
        await asyncio.sleep(0.5)
        for _ in range(4):
            assert isinstance(await asyncio.wait_for(sender.send({}, b"next"), WAIT_SECONDS), Response)
        await sender.close()
    assert connections == 5


@pytest.mark.parametrize("body_bytes", [1, 60_000, 4 << 20])
async def test_an_answer_before_the_request_is_written_counts(
    make_sender: MakeSender, body_bytes: int
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(b"Content-Length: 0", status=b"413 Large"))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with serving(refuse) as url:
        sender = make_sender(Endpoint(url), DELIVERY)
        result = await asyncio.wait_for(sender.send({}, b"x" * body_bytes), WAIT_SECONDS)
        assert isinstance(result, Response)
        assert result.status == 413
        await sender.close()
