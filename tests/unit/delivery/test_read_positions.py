"""Offsets without a record are found; records that were dropped on their way are never taken for such."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery import read_positions
from eventproc.delivery.partitions import AssignedPartitions
from eventproc.delivery.read_positions import Expired, Gap, ReadPositions, Truncated, find_jumps

ONE = TopicPartition("t", 0)
KEY = ("t", 0)


class Consumer:
    """Where aiokafka is, and where the log begins and ends."""

    def __init__(self, position: int | None = 0, begin: int = 0, end: int = 0) -> None:
        self.state = SimpleNamespace(_position=position)
        assignment = SimpleNamespace(_tp_state={ONE: self.state})
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
        self.begin, self.end = begin, end
        self.sought: dict[TopicPartition, int] = {}
        self.error: BaseException | None = None
        self.is_mute = False

    def assignment(self) -> set[TopicPartition]:
        return {ONE}

    async def beginning_offsets(self, _partitions: Any) -> dict[TopicPartition, int]:
        if self.is_mute:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return {ONE: self.begin}

    async def end_offsets(self, _partitions: Any) -> dict[TopicPartition, int]:
        return {ONE: self.end}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset


def every_time() -> ReadPositions:
    """Looks at each call."""
    times = iter(range(10_000))
    return ReadPositions(lambda: next(times) * read_positions.LOOK_SECONDS)


@given(
    log=st.lists(st.booleans(), max_size=12),
    polls=st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=12),
    is_fresh=st.booleans(),
)
def test_a_gap_is_passed_over_and_a_dropped_record_never(
    log: list[bool], polls: list[tuple[int, bool]], is_fresh: bool
) -> None:
    """``log``: is there a record at this offset; ``polls``: how many offsets, and whether it arrives."""
    committed = None if is_fresh else 0
    consumer: Any = Consumer()
    reader, partitions = every_time(), AssignedPartitions()
    partitions.assign(KEY, committed, "")
    reader.restart({ONE: committed})
    arrived, lost = set(), False
    for count, arrives in polls:
        start = consumer.state._position
        consumer.state._position = min(len(log), start + count)
        batch = [SimpleNamespace(offset=at) for at in range(start, consumer.state._position) if log[at]]
        reader.handed({ONE: batch})
        gaps = reader.gaps(consumer)
        if not arrives:
            lost = lost or bool(batch)
            continue
        if not lost:  # else the consumer seeks back before anything is accepted again
            for record in batch:
                partitions.offer(KEY, record.offset, None)
                partitions.done(KEY, record.offset)
                arrived.add(record.offset)
        for step in gaps.values():
            partitions.step(KEY, step)
    watermark = partitions[KEY].watermark or 0
    assert all(at in arrived for at in range(watermark) if log[at])
    if polls and all(arrives for _, arrives in polls):
        assert watermark == consumer.state._position


def test_it_looks_once_in_a_while_and_not_before_a_position_is_known() -> None:
    consumer: Any = Consumer(position=None)
    reader = ReadPositions(lambda: 5.0)
    assert reader.gaps(consumer) == {}
    consumer.state._position = 3
    assert reader.gaps(consumer) == {}, "it has just looked"
    reader = every_time()
    assert reader.gaps(consumer) == {ONE: Gap(None, 3)}
    assert reader.gaps(consumer) == {}, "told once"
    reader.jumped({ONE: Expired(3, 8)})
    consumer.state._position = 9
    assert reader.gaps(consumer) == {ONE: Gap(8, 9)}


@pytest.mark.parametrize(
    ("position", "jump"),
    [(2, Expired(2, 5)), (20, Truncated(20, 5, 9)), (7, None), (5, None), (9, None)],
)
async def test_a_refused_position_is_before_the_log_or_behind_it(position: int, jump: Any) -> None:
    consumer: Any = Consumer(begin=5, end=9)
    assert await find_jumps(consumer, {ONE: position}) == ({} if jump is None else {ONE: jump})
    assert consumer.sought == ({} if jump is None else {ONE: 5})


@pytest.mark.parametrize("is_mute", [True, False])
async def test_what_kafka_does_not_answer_is_left_for_the_next_poll(
    monkeypatch: pytest.MonkeyPatch, is_mute: bool
) -> None:
    monkeypatch.setattr(read_positions, "ANSWER_SECONDS", 0.01)
    consumer: Any = Consumer()
    consumer.is_mute, consumer.error = is_mute, KafkaConnectionError("gone")
    assert await find_jumps(consumer, {ONE: 2}) == {}
    assert consumer.sought == {}


def test_what_is_lost_and_what_is_truncated_is_reported_with_its_place() -> None:
    partitions = AssignedPartitions()
    partitions.assign(KEY, 4, "")
    with structlog.testing.capture_logs() as logs:
        partitions.step(KEY, Expired(4, 10))
        partitions.step(KEY, Expired(4, 10))
        partitions.step(("other", 1), Expired(4, 10))
        partitions.step(KEY, Truncated(10, 0, 3))
    assert [one["event"] for one in logs] == ["partition.expired", "partition.truncated"]
    assert (logs[0]["topic"], logs[0]["partition"], logs[0]["lost"], logs[0]["first_lost"]) == ("t", 0, 6, 4)
    assert partitions.expired == 6
    assert partitions.offer(KEY, 0, None), "it is read from its beginning"
    assert partitions.commit_points()[KEY].offset == 0
