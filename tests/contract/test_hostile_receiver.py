"""A receiver that wants our memory, our time or our processor: each answer ends within bounds."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
import pytest

from eventproc.destinations import Endpoint
from eventproc.http.response_reader import ResponseReader
from eventproc.outcomes import NoResponse, Response
from settings import load_settings
from tests.contract.senders import MakeSender
from tests.servers.raw import RawServer
from tests.servers.receiver import Receiver

REQUEST_SECONDS = 2.0
ENV = {"DELIVERY_REQUEST_TIMEOUT_SECONDS": f"{REQUEST_SECONDS}", "DELIVERY_CONNECT_TIMEOUT_SECONDS": "1"}
DELIVERY = load_settings(env=ENV).delivery
PATIENT = load_settings(env={}).delivery
LARGE = b"x" * 65_536

# What the kernel's buffers on both sides take, and what is read before somebody says stop.
TAKEN_BYTES = 16 << 20

HEAD = b"HTTP/1.1 500 Oh\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Answer = Callable[[], Iterable[bytes]]


def endless(start: bytes, piece: bytes) -> Answer:
    return lambda: itertools.chain((start,), itertools.repeat(piece))


def numbered(start: bytes, piece: bytes) -> Answer:
    return lambda: itertools.chain((start,), (piece % number for number in itertools.count()))


def once(answer: bytes) -> Answer:
    return lambda: (answer,)


ENDLESS = {
    "a status line": endless(b"HTTP/1.1 500 ", LARGE),
    "one header": endless(HEAD + b"X: ", LARGE),
    "a header's name": endless(HEAD, LARGE),
    "many headers": numbered(HEAD, b"X-%d: y\r\n"),
    "many large headers": numbered(HEAD, b"X-%d: " + b"y" * 4000 + b"\r\n"),
    "one header again and again": endless(HEAD, b"X: y\r\n" * 1000),
    "folded header": endless(HEAD + b"X: y\r\n", b" y\r\n" * 1000),
    "interim responses": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
    "interim responses, slowly": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": endless(HEAD + b"\r\n", LARGE),
    "a body of a success": endless(b"HTTP/1.1 200 OK\r\n\r\n", LARGE),
    "chunks": endless(CHUNKED, b"10000\r\n" + LARGE + b"\r\n"),
    "a chunk's size": endless(CHUNKED, b"0" * 65_536),
    "a chunk's extension": endless(CHUNKED + b"1;a=", LARGE),
    "trailers": endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
    "no line at all": endless(b"", b"\x00" * 65_536),
    "empty lines": endless(b"", b"\r\n" * 1000),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_never_ends_takes_bounded_time_and_memory(make_sender: MakeSender, answer: Answer) -> None:
    with RawServer(answer) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        began = time.monotonic()
        result = await asyncio.wait_for(sender.send({}, b"body"), 60)
        assert time.monotonic() - began < REQUEST_SECONDS + 5
        assert server.bytes_sent < TAKEN_BYTES
        if isinstance(result, Response):
            assert len(result.excerpt) <= DELIVERY.response_excerpt_bytes
        else:
            assert len(result.detail) <= 300
        await sender.close()


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 500 Oh\r\nX: ", HEAD + b"\r\n", CHUNKED])
async def test_what_comes_byte_by_byte_ends_with_the_request_s_time(
    make_sender: MakeSender, start: bytes
) -> None:
    with RawServer(endless(start, b"1"), pause_seconds=0.05) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        began = time.monotonic()
        await asyncio.wait_for(sender.send({}, b"body"), 60)
        assert time.monotonic() - began < REQUEST_SECONDS + 5
        await sender.close()


async def test_nothing_is_decompressed(make_sender: MakeSender) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    head = b"HTTP/1.1 500 Oh\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with RawServer(once(head + bomb)) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        result = await asyncio.wait_for(sender.send({}, b"body"), 60)
        assert result == Response(500, None, bomb[: DELIVERY.response_excerpt_bytes])
        await sender.close()


MALFORMED = {
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length beyond all": HEAD + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n",
    "both length and chunks": HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9\r\n",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "NUL in a header": HEAD + b"X: a\x00b\r\n\r\n",
    "a bare carriage return": HEAD + b"X: a\rb\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + LARGE,
    "a chunk that is none": CHUNKED + b"zz\r\n",
    "TLS": bytes.fromhex("160303004a020000"),
    "nothing": b"",
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_answer_is_no_exception(make_sender: MakeSender, answer: bytes) -> None:
    with RawServer(once(answer)) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        result = await asyncio.wait_for(sender.send({}, b"body"), 60)
        assert isinstance(result, (Response, NoResponse))
        await sender.close()


async def test_a_large_refusal_still_shows_its_beginning(make_sender: MakeSender) -> None:
    text = b"".join(b"%07d," % number for number in range(500_000))
    delivery = load_settings(env={"DELIVERY_RESPONSE_EXCERPT_BYTES": "65536"}).delivery
    for head in (HEAD + b"Content-Length: %d\r\n\r\n" % len(text), CHUNKED + b"%x\r\n" % len(text)):
        with RawServer(once(head + text)) as server:
            sender = make_sender(Endpoint(server.url), delivery)
            result = await asyncio.wait_for(sender.send({}, b"body"), 60)
            assert isinstance(result, Response)
            assert result.excerpt == text[:65_536]
            await sender.close()


async def test_an_answer_too_many_is_not_taken_for_the_next_request_s(make_sender: MakeSender) -> None:
    """Else a refusal would count as a delivery."""
    two = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with RawServer(once(two)) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        for _ in range(3):
            result = await asyncio.wait_for(sender.send({}, b"body"), 60)
            assert isinstance(result, Response)
            assert result.status == 500
        assert server.requests == 3
        await sender.close()


async def test_an_answer_that_comes_while_nothing_is_asked_is_not_the_next_request_s(
    make_sender: MakeSender,
) -> None:
    answers = (
        b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    )
    with RawServer(lambda: answers, pause_seconds=0.05) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        for _ in range(3):
            result = await asyncio.wait_for(sender.send({}, b"body"), 60)
            assert isinstance(result, Response)
            assert result.status == 500
            await asyncio.sleep(0.3)
        await sender.close()


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh"])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_body_that_breaks_off_in_nonsense_changes_no_status(
    make_sender: MakeSender, status: bytes, apart: bool
) -> None:
    head = b"HTTP/1.1 %b\r\nTransfer-Encoding: chunked\r\n\r\n" % status
    pieces = (head + b"1388\r\n" + b"x" * 5000 + b"\r\n", b"zz\r\n")
    answer = pieces if apart else (b"".join(pieces),)
    with RawServer(lambda: answer, pause_seconds=0.1) as server:
        sender = make_sender(Endpoint(server.url), PATIENT)
        result = await asyncio.wait_for(sender.send({}, b"body"), 10)
        assert isinstance(result, Response)
        assert result.status == int(status[:3])
        await sender.close()


async def test_a_cancellation_that_comes_with_the_end_of_a_body_is_one(
    make_sender: MakeSender,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a worker that lets go of its partitions would settle an event that is another's by then."""
    sending: list[asyncio.Task[Response | NoResponse]] = []
    ends = {ResponseReader: "on_message_complete", aiohttp.StreamReader: "feed_eof"}
    for reads, name in ends.items():
        monkeypatch.setattr(reads, name, _and_cancel(getattr(reads, name), sending))
    with RawServer(lambda: (HEAD + b"Content-Length: 3\r\n\r\n", b"abc"), pause_seconds=0.1) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)

        async def send_and_go_on() -> Response | NoResponse:
            result = await sender.send({}, b"body")
            await asyncio.sleep(0.1)
            return result

        sending.append(asyncio.ensure_future(send_and_go_on()))
        with pytest.raises(asyncio.CancelledError):
            await sending[0]
        await sender.close()


def _and_cancel(method: Callable[[Any], None], sending: list[asyncio.Task[Any]]) -> Callable[[Any], None]:
    """The method, and a cancellation before what has waited for its effect is awake."""

    def both(reader: Any) -> None:
        method(reader)
        asyncio.get_running_loop().call_soon(sending[0].cancel)

    return both


async def test_an_answer_longer_than_what_is_kept_of_it_costs_no_connection(make_sender: MakeSender) -> None:
    text = b"x" * (DELIVERY.response_excerpt_bytes + 1000)
    with RawServer(once(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        for _ in range(3):
            result = await asyncio.wait_for(sender.send({}, b"body"), 60)
            assert result == Response(200, None, text[: DELIVERY.response_excerpt_bytes])
        assert server.connections == 1
        await sender.close()


async def test_a_few_interim_responses_are_passed_over(make_sender: MakeSender) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3
    with RawServer(once(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 204 No\r\n\r\n")) as server:
        sender = make_sender(Endpoint(server.url), DELIVERY)
        for _ in range(40):  # together more than one request may have
            result = await asyncio.wait_for(sender.send({}, b"body"), 60)
            assert isinstance(result, Response)
            assert result.status == 204
        await sender.close()


@pytest.mark.parametrize("name", ["interim responses", "many headers", "a body", "empty lines"])
async def test_a_flood_does_not_hold_up_another_receiver(make_sender: MakeSender, name: str) -> None:
    """Many requests are flooded at once; one to a good receiver meanwhile is as quick as ever, or nearly."""
    async with Receiver() as good:
        with RawServer(ENDLESS[name]) as server:
            flooded = make_sender(Endpoint(server.url), PATIENT)
            other = make_sender(Endpoint(good.url), PATIENT)
            floods = [asyncio.ensure_future(flooded.send({}, b"body")) for _ in range(20)]
            began = time.monotonic()
            for _ in range(20):
                result = await asyncio.wait_for(other.send({}, b"body"), 30)
                assert isinstance(result, Response)
                assert result.status == 200
            assert time.monotonic() - began < 10
            done, pending = await asyncio.wait(floods, timeout=20)
            assert pending == set(), "they end long before the request's 30 s"
            assert len(done) == 20
            await flooded.close()
            await other.close()
