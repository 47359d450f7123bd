"""Reading several partitions to their ends as one stream, from a consumer that answers in pieces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery import bounded_kafka
from eventproc.delivery.bounded_kafka import as_unavailable, scan
from eventproc.delivery.topics import TopicError
from eventproc.errors import BrokerUnavailableError
from settings import load_settings


@dataclass
class FakeConsumer:
    """Partition number -> the records' timestamps, None for a marker that no reader is given."""

    partitions: dict[int, list[int | None]]
    batch: int = 2
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    is_mute: bool = False

    _fetcher = None

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.positions[partition]

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0)
        found: dict[TopicPartition, list[Any]] = {}
        for one in () if self.is_mute else partitions[:1]:
            start = self.positions[one]
            part = list(enumerate(self.partitions[one.partition]))[start : start + self.batch]
            self.positions[one] = start + len(part)
            records = [
                SimpleNamespace(partition=one.partition, offset=offset, timestamp=timestamp)
                for offset, timestamp in part
                if timestamp is not None
            ]
            if records:
                found[one] = records
        return found


async def read(consumer: Any, starts: dict[int, int] | None = None) -> list[tuple[int, int, int]]:
    spans = {
        TopicPartition("t", number): ((starts or {}).get(number, 0), len(records))
        for number, records in consumer.partitions.items()
    }
    return [(one.timestamp, one.partition, one.offset) async for one in scan(consumer, spans)]


async def test_records_come_side_by_side_in_time() -> None:
    consumer = FakeConsumer({0: [1, 4, 9], 1: [2, 3, 30], 2: []})
    assert await read(consumer) == [(1, 0, 0), (2, 1, 0), (3, 1, 1), (4, 0, 1), (9, 0, 2), (30, 1, 2)]


async def test_each_span_begins_where_it_is_told() -> None:
    consumer = FakeConsumer({0: [1, 4, 9], 1: [2, 3]}, batch=5)
    assert await read(consumer, {0: 2, 1: 2}) == [(9, 0, 2)]


async def test_markers_of_transactions_are_passed_over_and_the_end_is_reached() -> None:
    consumer = FakeConsumer({0: [1, None, None, None, 5, None]}, batch=1)
    assert await read(consumer) == [(1, 0, 0), (5, 0, 4)]


async def test_nothing_to_read_asks_nobody() -> None:
    consumer = FakeConsumer({0: []}, is_mute=True)
    assert await read(consumer) == []


async def test_a_broker_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_kafka, "ANSWER_SECONDS", 0.01)
    with pytest.raises(asyncio.TimeoutError):
        await read(FakeConsumer({0: [1]}, is_mute=True))


@given(
    st.dictionaries(st.integers(0, 3), st.lists(st.none() | st.integers(0, 50), max_size=12), max_size=4),
    st.integers(1, 5),
)
def test_all_of_every_partition_each_in_its_order(
    partitions: dict[int, list[int | None]], batch: int
) -> None:
    found = asyncio.run(read(FakeConsumer(partitions, batch)))
    for number, records in partitions.items():
        mine = [(timestamp, offset) for timestamp, partition, offset in found if partition == number]
        assert mine == [(at, offset) for offset, at in enumerate(records) if at is not None]
    if all(records == sorted(records, key=lambda at: at or 0) for records in partitions.values()):
        in_order = {
            number: [at for at in records if at is not None] for number, records in partitions.items()
        }
        if all(records == sorted(records) for records in in_order.values()):
            assert [at for at, _, _ in found] == sorted(at for at, _, _ in found)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KafkaConnectionError("refused"), "refused"),
        (ConnectionResetError(), "ConnectionResetError"),
        (asyncio.TimeoutError(), "no answer in time"),
        (TopicError("topic x: not allowed"), "topic x: not allowed"),
    ],
)
def test_every_trouble_of_kafka_is_told_with_the_servers_and_the_way_out(error: Exception, told: str) -> None:
    settings = load_settings(env={"EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": "k:9092"})
    with (
        pytest.raises(BrokerUnavailableError, match=rf"Kafka at k:9092: .*{told}.*Check events\.queue"),
        as_unavailable(settings),
    ):
        raise error
