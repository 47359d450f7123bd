"""The overrides of Faust's and aiokafka's insides: each still needed, each doing what it is for."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.errors import CommitFailedError, KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from eventproc.delivery import faust_internals
from eventproc.delivery.backlog import PartitionTap
from eventproc.delivery.faust_internals import Consumer, ConsumerThread
from eventproc.delivery.fetch_pace import fetch_pace
from eventproc.delivery.fetch_room import AMPLE
from eventproc.delivery.read_positions import ReadPositions
from eventproc.delivery.stopped_partitions import StoppedPartitions
from eventproc.identifiers import Offset
from eventproc.watermark import CommitPoint

A, B = TP("a", 0), TP("b", 1)


def test_faust_still_commits_past_a_record_in_flight() -> None:
    """Nothing committed yet, 0 to 4 in flight, 5 acked. When this fails, upstream has mended 606 and 312."""
    bare: Any = SimpleNamespace(
        _acked=defaultdict(list, {A: [5]}),
        _gap=defaultdict(list),
        _committed_offset=defaultdict(lambda: None),
        _acked_index=defaultdict(set, {A: {5}}),
    )
    assert faust_consumer.Consumer._new_offset(bare, A) == 6


class FakeLedger:
    def __init__(self, points: dict[Any, CommitPoint]) -> None:
        self.points = points

    def commit_points(self) -> dict[Any, CommitPoint]:
        return self.points


def test_only_our_watermarks_are_committed() -> None:
    consumer: Any = Consumer.__new__(Consumer)
    consumer._acked = defaultdict(list, {A: [5], B: [1]})
    consumer._acked_index = defaultdict(set)
    consumer.ledger = FakeLedger({A: CommitPoint(Offset(3), "meta")})
    assert consumer._filter_committable_offsets([A, B]) == {A: 3}
    assert not consumer._acked, "what Faust thinks is acked does not pile up"


class FakeAiokafka:
    def __init__(self, error: BaseException | None = None, *, hang: bool = False) -> None:
        self.commits: list[Any] = []
        self.sought: dict[Any, int | str] = {}
        self.error = error
        self.hang = hang
        self._coordinator = self._fetcher = self._client = self
        self._records: dict[Any, Any] = {}
        self._get_actions_per_node = None
        self._fetch_max_wait_ms = 20
        self._subscription = SimpleNamespace(subscription=None)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(*A), TopicPartition(*B)}

    async def commit(self, offsets: Any) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.commits.append(offsets)

    async def fetch_committed_offsets(self, partitions: Any) -> dict[Any, OffsetAndMetadata]:
        assert set(partitions) == self.assignment(), "one request for all"
        return {
            TopicPartition(*A): OffsetAndMetadata(7, "meta"),
            TopicPartition(*B): OffsetAndMetadata(-1, ""),
        }

    def seek(self, partition: Any, offset: int) -> None:
        self.sought[TP(*partition)] = offset

    async def seek_to_beginning(self, *partitions: Any) -> None:
        self.sought |= {TP(*partition): "beginning" for partition in partitions}


def thread(aiokafka: FakeAiokafka, tap: PartitionTap | None = None) -> Any:
    bare: Any = ConsumerThread.__new__(ConsumerThread)
    points = {A: CommitPoint(Offset(3), "meta")}
    bare.consumer = SimpleNamespace(
        points=points,
        positions={},
        tap=tap or PartitionTap(),
        stopped=StoppedPartitions(),
        room=AMPLE,
        flow_active=True,
    )
    bare._read, bare._steps = ReadPositions(lambda: 0.0), {}
    bare._consumer = aiokafka
    return bare


async def test_a_subscription_that_changes_in_the_middle_of_a_seek_is_no_crash() -> None:
    """aiokafka asserts that there is an assignment; a reload that brought a client ended the worker."""
    aiokafka = FakeAiokafka()
    seeking = thread(aiokafka)
    seeking._fetch_wait_ms = 20
    seeking.consumer.positions = {A: (5, "old")}
    assigned = iter([aiokafka.assignment(), aiokafka.assignment(), set()])
    aiokafka.assignment = lambda: next(assigned, set())  # type: ignore[method-assign]
    assert await seeking._seek_to_committed() == {}
    assert aiokafka.sought == {}
    assert seeking.consumer.positions == {}, "nothing is ours that was not sought"


async def test_the_metadata_goes_with_the_offset() -> None:
    aiokafka = FakeAiokafka()
    assert await thread(aiokafka)._commit({A: 3})
    assert aiokafka.commits == [{TopicPartition(*A): OffsetAndMetadata(3, "meta")}]


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), CommitFailedError("rebalanced")])
async def test_a_commit_that_is_not_taken_is_no_crash(error: BaseException) -> None:
    assert not await thread(FakeAiokafka(error))._commit({A: 3})


async def test_commits_that_are_not_taken_are_told_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = thread(FakeAiokafka(CommitFailedError("rebalanced")))
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            await failing._commit({A: 3})
        assert [one["event"] for one in logs] == ["commit.too_late"]
        monkeypatch.setattr(faust_internals, "TELL_AGAIN_SECONDS", 0.0)
        failing._quiet_until = 0.0
        for _ in range(2):
            await failing._commit({A: 3})
    assert [one["event"] for one in logs] == ["commit.too_late"] * 3


async def test_a_commit_that_hangs_ends_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_internals, "COMMIT_SECONDS", 0.01)
    assert not await asyncio.wait_for(thread(FakeAiokafka(hang=True))._commit({A: 3}), 2)


async def test_positions_come_with_their_metadata_and_without_a_commit_from_the_beginning() -> None:
    aiokafka = FakeAiokafka()
    one = thread(aiokafka)
    assert await one._seek_to_committed() == {A: 7, B: None}
    assert aiokafka.sought == {A: 7, B: "beginning"}
    assert one.consumer.positions == {A: (7, "meta"), B: (None, "")}


async def test_a_paused_partition_is_not_fetched_and_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[set[TP]] = []

    async def fetch(_self: Any, _c: Any, active: set[TP], timeout: float, max_records: int) -> dict[Any, Any]:
        fetched.append(set(active))
        return {}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    tap = PartitionTap()
    one = thread(FakeAiokafka(), tap)
    tap.pause([A])
    await one._fetch_records(one._consumer, {A, B}, 1.0, 10)
    tap.pause([B])
    assert await one._fetch_records(one._consumer, {A, B}, 1.0, 10) == {}
    tap.resume([A, B])
    await one._fetch_records(one._consumer, {A, B}, 1.0, 10)
    assert fetched == [{B}, {A, B}], "an empty set would mean every partition to aiokafka"


def test_what_is_overridden_is_still_there_with_the_same_parameters() -> None:
    for ours, theirs, name in (
        (ConsumerThread, driver.AIOKafkaConsumerThread, "_commit"),
        (ConsumerThread, driver.AIOKafkaConsumerThread, "seek_to_committed"),
        (ConsumerThread, driver.AIOKafkaConsumerThread, "_fetch_records"),
        (Consumer, driver.Consumer, "_filter_committable_offsets"),
        (Consumer, driver.Consumer, "_commit_offsets"),
        (Consumer, driver.Consumer, "perform_seek"),
    ):
        mine = inspect.signature(getattr(ours, name)).parameters
        assert list(mine) == list(inspect.signature(getattr(theirs, name)).parameters), name


async def test_the_pace_of_fetches_follows_the_number_of_partitions() -> None:
    aiokafka: Any = FakeAiokafka()
    await thread(aiokafka)._seek_to_committed()
    assert aiokafka._get_actions_per_node.pace == fetch_pace(2, 20)


def test_an_assignment_is_converted_once_and_its_successor_seen() -> None:
    aiokafka = FakeAiokafka()
    assigned = frozenset({TopicPartition(*A)})
    aiokafka.assignment = lambda: assigned  # type: ignore[method-assign, assignment, return-value]
    one = thread(aiokafka)
    assert one.assignment() == {A}
    one.assignment().clear()
    assert one.assignment() == {A}, "what one caller does with it is nothing to the next"
    assigned = frozenset({TopicPartition(*A), TopicPartition(*B)})
    assert one.assignment() == {A, B}
