"""aiokafka's own connection (0.14), which is not in its manual.

``ask_brokers``, ``ask_mechanisms``
    aiokafka's clients try the servers one after the other, write to the log why each was passed over, and
    raise only "Unable to bootstrap" (aiokafka/client.py, ``bootstrap``). Proof:
    tests/integration/test_kafka_security.py, where every refusal is told by its reason.
``give_up_silent_brokers``
    A host that is gone without a word, its cable out or its power, resets no connection, and aiokafka waits
    for its answer until the request times out: 40 to 60 s, as a JoinGroup may take that long, and once more
    for each thing that is asked of it anew. Heartbeats, commits and fetches of all workers wait with it. The
    kernel knows better: a host that lives acknowledges, however slow its broker is. Proof:
    tests/integration/test_silent_brokers.py, tests/chaos/test_hosts.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IllegalSaslStateError
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

CLOSE_SECONDS: Final = 1.0
PROBES: Final = 3
CONNECT_SECONDS: Final = 3.0
"""So long may it take to connect, login included, however short sessions are: the broker may be busy."""
_CONNECT: Final = AIOKafkaConnection.connect


def give_up_silent_brokers(seconds: float) -> None:
    """Break every connection made from now on once its host has acknowledged nothing for about so long."""

    async def connect(connection: Any) -> Any:
        patience = connection._request_timeout  # noqa: SLF001 - see the head of the module
        connection._request_timeout = min(patience, max(seconds, CONNECT_SECONDS))  # noqa: SLF001
        try:
            streams = await _CONNECT(connection)
        finally:
            connection._request_timeout = patience  # noqa: SLF001
        _watch(streams[1].get_extra_info("socket"), seconds)
        return streams

    AIOKafkaConnection.connect = connect


def _watch(connection: socket.socket, seconds: float) -> None:
    """What was sent must be acknowledged in time; and while an answer is waited for, so must probes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    share = max(1, round(seconds / (1 + PROBES)))
    for name, value in (
        ("TCP_KEEPIDLE", share),
        ("TCP_KEEPINTVL", share),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", round(seconds * 1000)),
    ):
        if (option := getattr(socket, name, None)) is not None:  # Linux has them all
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


async def ask_brokers(host: str, port: int, seconds: float, **options: Any) -> frozenset[tuple[str, int]]:
    """Host and port of all brokers as they advertise themselves, asked as a user of Kafka.

    Args:
        host: of the broker asked.
        port: of the broker asked.
        seconds: for the whole.
        options: as every client gets them, without ``bootstrap_servers``.

    Raises:
        KafkaError, OSError, ValueError, asyncio.TimeoutError: what came of it instead.
    """

    async def ask() -> frozenset[tuple[str, int]]:
        async with _connection(host, port, seconds, **options) as connection:
            metadata = await connection.send(MetadataRequest([]))
        return frozenset((broker[1], broker[2]) for broker in metadata.brokers)

    return await asyncio.wait_for(ask(), seconds)


async def ask_mechanisms(host: str, port: int, seconds: float, **options: Any) -> list[str]:
    """The mechanisms of SASL that the broker takes, none where it asks for no login.

    ``options`` are those of ``ask_brokers`` without SASL.

    Raises:
        KafkaError, OSError, asyncio.TimeoutError: it does not say.
    """

    async def ask() -> list[str]:
        async with _connection(host, port, seconds, **options) as connection:
            answer = await connection.send(SaslHandShakeRequest("PLAIN"))
        return [] if answer.error_code == IllegalSaslStateError.errno else sorted(answer.enabled_mechanisms)

    return await asyncio.wait_for(ask(), seconds)


@contextlib.asynccontextmanager
async def _connection(
    host: str, port: int, seconds: float, **options: Any
) -> AsyncIterator[AIOKafkaConnection]:
    """A connection, logged in; closed at the end within a bound, as TLS waits for the other side."""
    connection = AIOKafkaConnection(host, port, request_timeout_ms=int(seconds * 1000), **options)
    try:
        await connection.connect()
        yield connection
    finally:
        closed = connection.close()
        if connection._protocol is not None:  # noqa: SLF001 - without one nothing was open, and nothing closes
            await asyncio.wait([closed], timeout=CLOSE_SECONDS)
