"""A broker whose host says nothing is given up in seconds, not after the minute that a request may take."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from aiokafka.conn import AIOKafkaConnection

from eventproc.delivery.aiokafka_internals import give_up_silent_brokers
from tests.servers.kafka import EmbeddedBroker
from tests.servers.ports import LOOPBACK

SILENCE_SECONDS = 2.0
REQUEST_SECONDS = 60.0


@pytest.fixture(autouse=True)
def given_up_soon() -> Iterator[None]:
    before = AIOKafkaConnection.connect
    give_up_silent_brokers(SILENCE_SECONDS)
    yield
    AIOKafkaConnection.connect = before


async def test_the_kernel_watches_every_connection(embedded_broker: EmbeddedBroker) -> None:
    connection = _connection(embedded_broker.port)
    _, writer = await connection.connect()
    try:
        connected = writer.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SILENCE_SECONDS * 1000
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            connected.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count <= 2 * SILENCE_SECONDS
        # A JoinGroup may still take its minute.
        assert connection._request_timeout == REQUEST_SECONDS
    finally:
        await connection.close()


async def test_a_connection_that_nobody_answers_is_given_up() -> None:
    with socket.create_server((LOOPBACK, 0)) as mute:
        began = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await _connection(mute.getsockname()[1]).connect()
    assert SILENCE_SECONDS <= time.monotonic() - began + 0.1 < REQUEST_SECONDS / 2


def _connection(port: int) -> AIOKafkaConnection:
    return AIOKafkaConnection(LOOPBACK, port, request_timeout_ms=int(REQUEST_SECONDS * 1000))
