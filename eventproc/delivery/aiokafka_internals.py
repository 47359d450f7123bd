"""The insides of aiokafka (0.14) that are not about Faust: connections and the group.

``ask_brokers``, ``ask_mechanisms``
    aiokafka's clients try the servers one after the other, write to the log why each was passed over, and
    raise only "Unable to bootstrap" (aiokafka/client.py, ``bootstrap``). Proof:
    tests/integration/test_kafka_security.py, where every refusal is told by its reason.
``ask_token``
    A broker that refuses a token says why in its first answer (RFC 7628, 3.2.2), and aiokafka takes any
    answer for success (aiokafka/conn.py, ``OAuthAuthenticator``); the next request meets a closed connection.
    Proof: tests/integration/test_kafka_tokens.py.
``give_up_silent_brokers``
    A host that is gone without a word, its cable out or its power, resets no connection, and aiokafka waits
    for its answer until the request times out: 40 to 60 s, as a JoinGroup may take that long, and once more
    for each thing that is asked of it anew. Heartbeats, commits and fetches of all workers wait with it. The
    kernel knows better: a host that lives acknowledges, however slow its broker is. Proof:
    tests/integration/test_silent_brokers.py, tests/chaos/test_hosts.py.
``leave_group``
    aiokafka's ``stop`` first waits for a join that is under way, as long as the group's slowest member takes,
    and a member that has not joined yet it does not sign off; Kafka then keeps a place for it, and the others
    wait, until its session times out. Proof: tests/chaos/test_sigterm.py.
``end_fetches``
    aiokafka's ``stop`` breaks off, as if itself cancelled, at a fetch that pauses as its broker is gone.
    Proof: tests/chaos/test_sigterm.py.
``partition_of``
    aiokafka hashes a key in plain Python, 15 µs for one as long as a UUID; an event's copies have the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalSaslStateError, KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

log = structlog.stdlib.get_logger("eventproc.delivery")

LEAVE_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 1.0
PROBES: Final = 3
LONG_KEY_BYTES: Final = 1024
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


async def ask_token(host: str, port: int, seconds: float, token: str, **options: Any) -> str | None:
    """What the broker says against a token of ours; None where it takes it, or has no OAUTHBEARER.

    ``options`` are those of ``ask_brokers`` without SASL.

    Raises:
        KafkaError, OSError, asyncio.TimeoutError: it does not say.
    """

    async def ask() -> str | None:
        async with _connection(host, port, seconds, **options) as connection:
            handshake = await connection.send(SaslHandShakeRequest("OAUTHBEARER"))
            if handshake.error_code:
                return None
            login = f"n,,\x01auth=Bearer {token}\x01\x01".encode()
            answer = await connection.send(SaslAuthenticateRequest(login))
        if answer.error_code:
            return str(answer.error_message or "refused")
        return answer.sasl_auth_bytes.decode("utf-8", "replace") or None

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


async def leave_group(consumer: AIOKafkaConsumer) -> None:
    """Be no member of the group from now on, or of one that is being joined; what follows is ``stop``.

    Static members keep their place, as is their use. In the consumer's own loop; within ``LEAVE_SECONDS``,
    and a broker that does not answer is no error.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - see the head of the module
    if not isinstance(coordinator, GroupCoordinator):
        return  # not started yet
    heartbeat, refresh = coordinator._heartbeat_task, coordinator._commit_refresh_task  # noqa: SLF001
    await _cancelled(*filter(None, (coordinator._coordination_task, heartbeat, refresh)))  # noqa: SLF001
    node, member = coordinator.coordinator_id, coordinator.member_id
    if node is not None and member and coordinator._group_instance_id is None:  # noqa: SLF001
        client, request = consumer._client, LeaveGroupRequest(coordinator.group_id, member)  # noqa: SLF001
        if held := client._conns.pop((node, ConnectionGroup.COORDINATION), None):  # noqa: SLF001
            held.close()  # Kafka answers in turn, and the join that it held has not been answered
        left = client.send(node, request, group=ConnectionGroup.COORDINATION)
        try:
            await asyncio.wait_for(left, LEAVE_SECONDS)
        except (KafkaError, asyncio.TimeoutError) as error:
            log.warning("group.not_left", problem=repr(error)[:200])
    coordinator.reset_generation()  # or aiokafka leaves once more


async def end_fetches(consumer: AIOKafkaConsumer) -> None:
    """Fetch nothing any more; what follows is ``stop``."""
    fetcher = consumer._fetcher  # noqa: SLF001 - see the head of the module
    if fetcher is None:
        return  # not started yet
    await _cancelled(fetcher._fetch_task)  # noqa: SLF001 - it starts the others
    await _cancelled(*fetcher._pending_tasks)  # noqa: SLF001
    fetcher._pending_tasks.clear()  # noqa: SLF001


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def partition_of(key: bytes | None, partitions: list[int], available: list[int]) -> int:
    """Return the partition for a key, up to ``LONG_KEY_BYTES`` as every Kafka client chooses it."""
    if len(partitions) == 1:
        return partitions[0]
    if key is None:
        return random.choice(available or partitions)
    # A long key is neither kept in the cache nor hashed in plain Python, 0.4 s for a megabyte.
    number = _hash(key) if len(key) <= LONG_KEY_BYTES else zlib.crc32(key)
    return partitions[(number & 0x7FFFFFFF) % len(partitions)]


@lru_cache(maxsize=4096)
def _hash(key: bytes) -> int:
    return int(murmur2(key))
