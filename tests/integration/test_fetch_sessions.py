"""Incremental fetches against real brokers: everything arrives once and in order, and little is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v11

from eventproc.delivery.fetch_pace import FetchPace
from eventproc.delivery.fetch_plan import in_sessions
from tests.servers.anchor_env import Names
from tests.servers.both_brokers import both_brokers
from tests.servers.kafka import ApacheKafka, Broker
from tests.servers.kafka_client import Record
from tests.servers.waiting import wait_until

PARTITIONS = 200
PACE = FetchPace(apart=10, wait=100, short_wait=20)
TIMEOUT_SECONDS = 30.0


class Reader:
    """A consumer in sessions, with all that it has read and how many partitions each fetch named."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self.read: list[tuple[int, int]] = []
        self.named: list[int] = []

    async def run(self) -> None:
        """Read on and on."""
        while True:
            for records in (await self.consumer.getmany(timeout_ms=100)).values():
                self.read += [(record.partition, record.offset) for record in records]


@asynccontextmanager
async def reader(bootstrap: str, topic: str) -> AsyncIterator[Reader]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    await asyncio.wait_for(consumer.start(), TIMEOUT_SECONDS)
    found = Reader(consumer)
    task = None
    try:
        _count_names(consumer, found.named)
        in_sessions(consumer._fetcher, PACE)
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        task = asyncio.create_task(found.run())
        yield found
        assert not task.done(), task.exception()
    finally:
        if task is not None:
            task.cancel()
        await consumer.stop()


def _count_names(consumer: AIOKafkaConsumer, named: list[int]) -> None:
    """Looks at what goes to the broker, behind the sessions."""
    client: Any = consumer._client
    send = client.send

    async def counted(node_id: int, request: Any, **options: Any) -> Any:
        if isinstance(request, FetchRequest):
            build = request.build

            def counted_build(request_class: Any) -> Any:
                struct = build(request_class)
                named.append(sum(len(partitions) for _, partitions in struct.topics))
                return struct

            request.build = counted_build
        return await send(node_id, request, **options)

    client.send = counted


async def _publish(broker: Broker, topic: str, number: int) -> list[tuple[int, int]]:
    """Some records to some of the partitions."""
    records = [
        Record(value=f"{number} {count}".encode(), partition=(number * 37 + count * 11) % PARTITIONS)
        for count in range(30)
    ]
    return [(one.partition or 0, one.offset or 0) for one in await broker.publish(topic, records)]


async def _until(check: Callable[[], bool], what: str) -> None:
    async def condition() -> bool:
        return check()

    await wait_until(condition, TIMEOUT_SECONDS, what)


def _in_order(read: list[tuple[int, int]]) -> bool:
    """Whether each partition was read once, and in order."""
    last: dict[int, int] = {}
    for partition, offset in read:
        if offset <= last.get(partition, -1):
            return False
        last[partition] = offset
    return True


@both_brokers
async def test_all_is_read_in_order(broker: Broker, names: Names) -> None:
    await broker.create_topics({names.source: PARTITIONS})
    sent = []
    async with reader(broker.bootstrap, names.source) as found:
        for number in range(10):
            sent += await _publish(broker, names.source, number)
            some = [TopicPartition(names.source, partition) for partition, _ in sent[::3]]
            if number % 3 == 0:
                found.consumer.pause(*some)
            elif number % 3 == 1:
                found.consumer.resume(*found.consumer.paused())
            else:
                in_sessions(found.consumer._fetcher, PACE)
        found.consumer.resume(*found.consumer.paused())
        await _until(lambda: len(found.read) >= len(sent), "every record")
    assert sorted(found.read) == sorted(sent)
    assert _in_order(found.read)


@pytest.mark.kafka
async def test_fetches_name_only_what_has_changed(apache_kafka: ApacheKafka, names: Names) -> None:
    await apache_kafka.create_topics({names.source: PARTITIONS})
    async with reader(apache_kafka.bootstrap, names.source) as found:
        await _until(lambda: len(found.named) >= 3, "fetches")
        assert found.named[0] == PARTITIONS
        before = len(found.named)
        sent = await _publish(apache_kafka, names.source, 1)
        await _until(lambda: len(found.read) >= len(sent), "every record")
        changed = len({partition for partition, _ in sent})
        # What was taken is named by the fetch after it, which may not be under way yet.
        await _until(
            lambda: sum(found.named[before:]) >= changed and found.named[-1] == 0, "what has changed"
        )
    assert max(found.named[before:]) <= len(sent)
    assert sum(found.named[before:]) == changed


@pytest.mark.kafka
async def test_reading_goes_on_when_the_broker_has_forgotten_the_session(
    own_apache_kafka: ApacheKafka, names: Names
) -> None:
    await own_apache_kafka.create_topics({names.source: PARTITIONS})
    async with reader(own_apache_kafka.bootstrap, names.source) as found:
        sent = await _publish(own_apache_kafka, names.source, 1)
        await _until(lambda: len(found.read) >= len(sent), "every record")
        await own_apache_kafka.stop_async()
        await own_apache_kafka.start_async()
        sent += await _publish(own_apache_kafka, names.source, 2)
        await _until(lambda: len(found.read) >= len(sent), "every record")
        before = len(found.named)
        await _until(lambda: found.named[before:].count(0) > 3, "a session again")
    assert sorted(found.read) == sorted(sent)
    assert _in_order(found.read)


def test_the_version_that_is_spoken_has_sessions() -> None:
    assert {"session_id", "session_epoch", "forgotten_topics_data"} <= set(FetchRequest_v11.SCHEMA.names)
