"""A reader of a whole topic that knows when it has read everything, and survives the loss of Kafka."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from typing_extensions import Self

from eventproc.delivery import topic_follower
from eventproc.delivery.topic_follower import TopicFollower

ONLY = TopicPartition("t", 0)


@dataclass
class FakeTopic:
    """One partition, and the readers opened of it; ``breaks`` is what the next polls raise."""

    records: list[str] = field(default_factory=list)
    is_there: bool = True
    breaks: deque[Exception] = field(default_factory=deque)
    readers: list[FakeReader] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> Any:
        self.readers.append(FakeReader(self))
        return self.readers[-1]

    def write(self, *values: str) -> None:
        self.records += values
        self.more.set()


class FakeReader:
    """As much of aiokafka's consumer as the follower uses; a poll waits for a record as the real one does."""

    def __init__(self, topic: FakeTopic) -> None:
        self.topic = topic
        self.at = 0
        self.started = self.stopped = False

    async def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.stopped = True

    def assignment(self) -> set[TopicPartition]:
        return {ONLY}

    _fetcher = None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition == ONLY
        self.at = offset

    async def position(self, _partition: TopicPartition) -> int:
        return self.at

    def partitions_for_topic(self, _topic: str) -> set[int] | None:
        return {0} if self.topic.is_there else None

    async def end_offsets(self, _partitions: Any) -> dict[TopicPartition, int]:
        return {ONLY: len(self.topic.records)}

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        if self.topic.breaks:
            raise self.topic.breaks.popleft()
        if self.at >= len(self.topic.records):
            self.topic.more.clear()
            try:
                await asyncio.wait_for(self.topic.more.wait(), timeout_ms / 1000)
            except asyncio.TimeoutError:
                return {}
            if self.at >= len(self.topic.records):
                return {}
        offset, self.at = self.at, self.at + 1
        return {ONLY: [SimpleNamespace(offset=offset, value=self.topic.records[offset])]}


@dataclass
class World:
    topic: FakeTopic = field(default_factory=FakeTopic)
    seen: list[str] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)
    losses: list[Exception] = field(default_factory=list)
    deletions: list[int] = field(default_factory=list)
    on_seen: Callable[[str], None] = lambda _value: None

    def __post_init__(self) -> None:
        self.follower = TopicFollower(
            self.topic.open,
            self._apply,
            lambda number: self.reads.append((number, len(self.seen))),
            self.losses.append,
            lambda: self.deletions.append(len(self.seen)),
        )

    def _apply(self, record: Any) -> None:
        self.seen.append(record.value)
        self.on_seen(record.value)

    async def __aenter__(self) -> Self:
        await self.follower.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.wait_for(self.follower.stop(), 10)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_follower, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(topic_follower, "POLL_MS", 5)
    monkeypatch.setattr(topic_follower, "LOOK_SECONDS", 0.0)


async def caught_up(world: World) -> None:
    await asyncio.wait_for(world.follower.caught_up(), 10)


async def test_the_first_read_is_done_when_all_is_read_that_was_there_at_the_start() -> None:
    world = World()
    world.topic.write("a", "b", "c")
    async with world:
        await caught_up(world)
    assert world.seen == ["a", "b", "c"]
    assert world.reads[0][1] == 3, "not before the end"


async def test_an_empty_topic_is_read_to_its_end_at_once() -> None:
    async with World() as world:
        await caught_up(world)
        assert world.seen == []
        assert world.reads


async def test_a_later_read_waits_for_what_was_written_before_it_was_asked_for() -> None:
    async with World() as world:
        await caught_up(world)
        for turn in range(5):
            world.topic.write(f"{turn}a", f"{turn}b")
            await caught_up(world)
            assert world.seen[-1] == f"{turn}b"
        numbers = [number for number, _ in world.reads]
        assert numbers == sorted(set(numbers))


async def test_what_is_asked_for_during_a_read_is_a_read_of_its_own() -> None:
    world = World()
    world.topic.write("a", "b")
    asked: list[int] = []

    def ask_once(value: str) -> None:
        if value == "a":
            world.topic.write("late")
            asked.append(world.follower.ask())

    world.on_seen = ask_once
    async with world:
        while len(world.reads) < 2:
            await caught_up(world)
    assert world.reads[0] == (1, 2), "the first read ends where the topic ended when it began"
    assert world.reads[1] >= (asked[0], 3)


async def test_a_reader_that_loses_kafka_goes_on_where_it_was() -> None:
    world = World()
    world.topic.write("a", "b")
    async with world:
        await caught_up(world)
        world.topic.breaks.extend([KafkaConnectionError("gone"), OSError("still gone")])
        world.topic.write("c")
        while len(world.losses) < 2:
            await caught_up(world)
        await caught_up(world)
    assert world.seen == ["a", "b", "c"], "nothing twice, nothing left out"
    assert [type(error) for error in world.losses] == [KafkaConnectionError, OSError]
    assert len(world.topic.readers) == 3
    assert all(reader.stopped for reader in world.topic.readers)


async def test_it_stops_while_it_waits_for_records() -> None:
    async with World() as world:
        await caught_up(world)
    assert world.topic.readers[-1].stopped


@pytest.mark.parametrize("is_seen_missing", [True, False])
async def test_a_topic_that_was_deleted_is_read_from_its_beginning(is_seen_missing: bool) -> None:
    """A reader that stays at its offset hears nothing until the new topic has grown so far."""
    world = World()
    world.topic.write("a", "b", "c")

    async def until(condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.001)

    async with world:
        await caught_up(world)
        world.topic.records.clear()
        world.topic.is_there = not is_seen_missing
        world.topic.more.set()
        await asyncio.wait_for(until(lambda: bool(world.deletions)), 10)
        world.topic.is_there = True
        world.topic.write("new")
        await asyncio.wait_for(until(lambda: world.seen[-1] == "new"), 10)
        await caught_up(world)
    assert world.seen == ["a", "b", "c", "new"]
    assert world.deletions == [3]
