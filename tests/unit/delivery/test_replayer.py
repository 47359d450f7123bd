"""Sending in order within bounds, and knowing at every moment how far it came."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError

from eventproc.delivery import replayer
from eventproc.delivery.replayer import SendWindow, offer_all
from eventproc.identifiers import DestinationId
from eventproc.records import Headers, Source
from eventproc.replay import Copy, Place, Planner, SendProgress
from tests.fakes.clock import settle

BUSINESS = DestinationId("callback-api")


@dataclass
class SourceRecord:
    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None = b"x"
    headers: tuple[()] = ()


@dataclass
class FakeProducer:
    sent: list[bytes | None] = field(default_factory=list)
    futures: list[asyncio.Future[Any]] = field(default_factory=list)
    refuses: bool = False
    holds: bool = False

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        if self.refuses:
            raise NotEnoughReplicasError
        self.sent.append(value)
        if self.holds:
            await asyncio.Event().wait()
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


@dataclass
class World:
    producer: FakeProducer = field(default_factory=FakeProducer)
    progress: SendProgress = field(default_factory=SendProgress)
    told: list[int] = field(default_factory=list)
    whole: list[Place] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.progress.whole = lambda place, _destinations: self.whole.append(place)
        self.window = SendWindow(self.producer, self.progress, lambda: self.told.append(self.progress.events))

    async def send(self, number: int, copies: int = 2) -> None:
        one = [Copy("topic", b"k", b"%d-%d" % (number, copy), []) for copy in range(copies)]
        await self.window.send(Source("TRANSACTION", 0, number, 1000 + number), (BUSINESS,), one)


async def test_done_is_said_only_when_all_is_acknowledged() -> None:
    world = World()
    for number in range(3):
        await world.send(number)
    assert (world.progress.written, world.progress.in_doubt, world.progress.events) == (0, 6, 0)
    settling = asyncio.ensure_future(world.window.settle())
    for future in world.producer.futures[:-1]:
        future.set_result(None)
    await settle()
    assert not settling.done()
    assert (world.progress.written, world.progress.in_doubt, world.progress.events) == (5, 1, 2)
    world.producer.futures[-1].set_result(None)
    await settling
    progress = world.progress
    assert (progress.events, progress.last) == (3, Source("TRANSACTION", 0, 2, 1002))
    assert (progress.written, progress.in_doubt) == (6, 0)
    assert world.told == [3], "once for the round"
    assert world.whole == [Place(0, n, 1000 + n) for n in range(3)]
    assert world.producer.sent == [b"0-0", b"0-1", b"1-0", b"1-1", b"2-0", b"2-1"]


async def test_only_the_whole_beginning_counts_as_done() -> None:
    world = World()
    for number in range(3):
        await world.send(number, copies=1)
    for future in world.producer.futures[1:]:
        future.set_result(None)
    world.producer.futures[0].set_exception(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await world.window.settle()
    await settle()
    assert (world.progress.events, world.progress.last) == (0, None)
    assert (world.progress.written, world.progress.in_doubt) == (2, 1)


async def test_a_refused_copy_ends_it_with_its_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayer, "ROUND_EVENTS", 2)
    world = World()
    await world.send(0, copies=1)
    world.producer.futures[0].set_exception(NotEnoughReplicasError())
    with pytest.raises(NotEnoughReplicasError):
        await world.send(1, copies=1)
    assert world.progress.events == 0


async def test_a_round_begins_when_all_of_the_one_before_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replayer, "ROUND_EVENTS", 3)
    world = World()
    for number in range(2):
        await world.send(number, copies=1)
    third = asyncio.ensure_future(world.send(2, copies=1))
    await settle()
    for future in world.producer.futures[:2]:
        future.set_result(None)
    await settle()
    assert not third.done()
    assert world.told == []
    world.producer.futures[2].set_result(None)
    await third
    assert world.told == [3]


async def test_what_is_not_acknowledged_in_time_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayer, "ANSWER_SECONDS", 0.01)
    world = World()
    await world.send(0)
    world.producer.futures[0].set_result(None)
    with pytest.raises(asyncio.TimeoutError):
        await world.window.settle()
    assert (world.progress.written, world.progress.in_doubt) == (1, 1)


async def test_what_the_producer_does_not_take_is_not_counted() -> None:
    world = World()
    world.producer.refuses = True
    with pytest.raises(NotEnoughReplicasError):
        await world.send(0)
    assert (world.progress.written, world.progress.in_doubt) == (0, 0)


async def test_what_was_handed_over_when_it_was_broken_off_is_in_doubt() -> None:
    world = World()
    world.producer.holds = True
    sending = asyncio.ensure_future(world.send(0))
    await settle()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert (len(world.producer.sent), world.progress.in_doubt) == (1, 1)


@dataclass
class FakeConsumer:
    """Gives whole batches, as Kafka does: also records beyond the end of a span."""

    records: dict[TopicPartition, list[SourceRecord]]
    at: dict[TopicPartition, int] = field(default_factory=dict)
    _fetcher: None = None

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[SourceRecord]]:
        found = {one: self.records[one][self.at[one] :] for one in partitions}
        self.at |= {one: len(self.records[one]) for one in partitions}
        return found


@dataclass
class Offered:
    offsets: list[tuple[int, int]] = field(default_factory=list)

    def offer(self, source: Source, value: bytes | None) -> None:
        self.offsets.append((source.partition, source.offset))


@pytest.mark.parametrize("committed", range(6))
async def test_a_replay_ends_before_the_first_record_that_the_router_has_not_committed(
    committed: int,
) -> None:
    """By one record further, the router's copy would come after the replayed one."""
    here, there = TopicPartition("TRANSACTION", 0), TopicPartition("TRANSACTION", 1)
    records = {
        one: [SourceRecord("TRANSACTION", one.partition, offset, 1000 + offset) for offset in range(6)]
        for one in (here, there)
    }
    offered, routed = Offered(), {here: committed, there: 4}
    await offer_all(
        cast("AIOKafkaConsumer", FakeConsumer(records)),
        {one: (0, end) for one, end in routed.items()},
        routed,
        cast("Planner", offered),
        until_ms=None,
        on_progress=lambda _read, _total: None,
    )
    assert sorted(offered.offsets) == [
        *((0, offset) for offset in range(committed)),
        *((1, offset) for offset in range(4)),
    ]
