"""Any record that Kafka accepts, and batches that cannot be read, beside events that must all be delivered.

What is generated is a function of the seed, which a failure names.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import create_topics
from tests.servers.raw_batches import CODECS, NOT_UTF8, RawRecord
from tests.servers.raw_producer import RawProducer
from tests.servers.receiver import Receiver
from tests.servers.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

SEED = 16
MAX_MESSAGE_BYTES = 100_000
LONG = 200_000
KEYS = (None, b"", b"k", b"\xff\xfe", b"k" * LONG)
VALUES = (None, b"", b"\xff", b"{", b"[]", b"null", b"x" * LONG)
NAMES = ("", "type", "traceparent", "source-offset", NOT_UTF8, "n" * LONG)
HEADER_VALUES = (None, b"", b"\xff", b"x" * LONG)
NOW = 1_795_500_000_000
TIMESTAMPS = (-1, 0, NOW, 253_402_300_800_000, 2**63 - 1)
WAYS = ("plain", "committed", "aborted")
TIMES = ("CreateTime", "LogAppendTime")
COMPRESSIONS = ("producer", "zstd", "lz4", "snappy", "gzip", "uncompressed")
"""``compression.type`` of the topic: all but the first make the broker compress what it is sent."""
SOURCE_CONFIGS = {
    "max.message.bytes": str(16 * 1024 * 1024),
    "retention.ms": "-1",  # by their timestamps most of the records are long past it
    # Kafka since 3.6 refuses what is an hour in the future; older ones, and topics set so, do not.
    "message.timestamp.after.max.ms": str(2**63 - 1),
}


@dataclass
class Expected:
    """Where each record must end: events by transaction in their order, the others by their offset."""

    events: dict[str, list[str]] = field(default_factory=dict)
    invalid: set[int] = field(default_factory=set)
    aborted: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        return sum(map(len, self.events.values()))


class Generator:
    """Batches of events and other records."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._number = 0

    def batch(self, timestamp_ms: int) -> tuple[list[RawRecord], list[tuple[str, str] | None]]:
        """Records, and of each the transaction and the id of its event, None for what is none."""
        pick = self._random.choice
        records, events = [], []
        for _ in range(self._random.randint(1, 4)):
            event = self._event() if self._random.random() < 0.6 else None
            value = pick(VALUES) if event is None else _value(*event)
            headers = [(pick(NAMES), pick(HEADER_VALUES)) for _ in range(self._random.randint(0, 3))]
            records.append(RawRecord(pick(KEYS), value, headers, timestamp_ms))
            events.append(event)
        return records, events

    def single(self) -> tuple[bytes, tuple[str, str]]:
        """An event's value, its transaction and its id."""
        event = self._event()
        return _value(*event), event

    def _event(self) -> tuple[str, str]:
        self._number += 1
        return f"t{self._random.randint(0, 2)}", f"e{self._number}"


def _value(transaction: str, event_id: str) -> bytes:
    event = {"type": "transaction_created", "id": event_id, "transaction": {"id": transaction, "sep": "24"}}
    return json.dumps(event).encode()


def combinations(seed: int) -> Iterator[tuple[str, str, int]]:
    """Each codec, way and timestamp, in some order."""
    all_ = [(codec, way, at) for codec in CODECS for way in WAYS for at in TIMESTAMPS]
    random.Random(seed).shuffle(all_)
    yield from all_


async def write(
    producer: RawProducer, generator: Generator, expected: Expected, combination: tuple[str, str, int]
) -> None:
    codec, way, timestamp_ms = combination
    records, events = generator.batch(timestamp_ms)
    if way == "plain":
        first = await producer.write(records, codec)
    else:
        value, event = generator.single()
        first = await producer.transaction(records, codec, commits=way == "committed", first=value)
        events = [event, *events]
    for offset, event_or_none in enumerate(events, first):
        if way == "aborted":
            expected.aborted.add(offset)
        elif event_or_none is None:
            expected.invalid.add(offset)
        else:
            transaction, event_id = event_or_none
            expected.events.setdefault(transaction, []).append(event_id)


async def configure_round(broker: ApacheKafka, topic: str, round_: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    configs = SOURCE_CONFIGS | {
        "message.timestamp.type": TIMES[round_ % len(TIMES)],
        "compression.type": COMPRESSIONS[round_ % len(COMPRESSIONS)],
    }
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    await admin.close()


async def invalid_offsets(broker: ApacheKafka, names: Names) -> list[int]:
    records = await broker.read_all(names.topic("invalid"))
    return sorted(int(record.headers["source-offset"]) for record in records)


@pytest.mark.timeout(600)
async def test_every_event_is_delivered_among_any_records(
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    chaos_long: bool,
) -> None:
    rounds = 20 if chaos_long else 4
    await create_topics(apache_kafka.bootstrap, {names.source: 1}, configs=SOURCE_CONFIGS)
    extra = {"TOPICS_MAX_MESSAGE_BYTES": str(MAX_MESSAGE_BYTES)}
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names, extra=extra)
    worker = await start_worker(env)
    generator, expected = Generator(SEED), Expected()
    partition = TopicPartition(names.source, 0)
    async with RawProducer(apache_kafka.bootstrap, partition, f"tx-{names.source}") as producer:
        for round_ in range(rounds):
            await configure_round(apache_kafka, names.source, round_)
            for combination in combinations(SEED + round_):
                await write(producer, generator, expected, combination)
            value, (transaction, event_id) = generator.single()
            end = 1 + await producer.write([RawRecord(b"last", value)])
            expected.events.setdefault(transaction, []).append(event_id)
            await check(apache_kafka, names, business_server, expected, end)
            assert worker.is_running


async def check(broker: ApacheKafka, names: Names, receiver: Receiver, expected: Expected, end: int) -> None:
    async def is_done() -> bool:
        committed = await broker.committed(names.consumer_group, names.source)
        return 0 in committed and committed[0].offset >= end

    await wait_until(is_done, 120, f"seed {SEED}: the source is not read to {end}")
    await receiver.wait_until(lambda: receiver.count >= expected.count, 120)
    got: dict[str, list[Any]] = {}
    for request in receiver.requests:
        event = json.loads(request.body)
        got.setdefault(event["payload"]["transaction"]["id"], []).append(request.event_id)
    assert got == expected.events, f"seed {SEED}"
    assert await invalid_offsets(broker, names) == sorted(expected.invalid), f"seed {SEED}"
