"""One connection in front of a transport that only notes: what happens in between two turns of the loop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from eventproc.http.connection import Answer, Connection, Owner
from eventproc.http.keep_alive import KeepAlive

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Transport:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.ended = ""

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return bool(self.ended)

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


def connected() -> tuple[Connection, Transport, list[Connection]]:
    loop = asyncio.get_running_loop()
    idle: list[Connection] = []
    owner = Owner(lambda _: None, idle.append, lambda _: None, KeepAlive(loop.time), 100)
    connection, transport = Connection(loop, owner), Transport()
    connection.connection_made(cast("Any", transport))
    return connection, transport, idle


async def test_a_connection_is_idle_again_when_its_response_is_whole() -> None:
    connection, transport, idle = connected()
    answered = connection.post(b"head", b"body", asyncio.get_running_loop().time() + 10)
    connection.data_received(OK[:5])
    assert idle == []
    connection.data_received(OK[5:])
    assert isinstance(await answered, Answer)
    assert idle == [connection]
    assert transport.ended == ""
    connection.abort()


async def test_a_response_that_comes_with_a_cancellation_leaves_no_idle_connection() -> None:
    """Its sender awakes later and ends the connection, which would be another request's by then."""
    connection, transport, idle = connected()
    answered = connection.post(b"head", b"body", asyncio.get_running_loop().time() + 10)
    answered.cancel()
    connection.data_received(OK)
    assert idle == []
    assert transport.ended == "aborted"


@pytest.mark.parametrize("piece_bytes", [1, 10_000])
async def test_a_large_request_goes_out_whole_and_lets_others_in_between(piece_bytes: int) -> None:
    connection, transport, idle = connected()
    head, body = b"head", b"0123456789" * 50_000 + b"x" * piece_bytes
    answered = connection.post(head, body, asyncio.get_running_loop().time() + 10)
    assert len(transport.written) == 2
    connection.pause_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(transport.written) <= 3
    connection.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert b"".join(transport.written) == head + body
    connection.data_received(OK)
    assert isinstance(await answered, Answer)
    assert idle == [connection]
    connection.abort()


async def test_a_response_before_the_request_is_written_counts_and_ends_the_connection() -> None:
    connection, transport, idle = connected()
    answered = connection.post(b"head", b"x" * 500_000, asyncio.get_running_loop().time() + 10)
    connection.data_received(OK)
    assert isinstance(await answered, Answer)
    assert idle == []
    assert transport.ended == "aborted"
    await asyncio.sleep(0)
    assert len(transport.written) == 2
