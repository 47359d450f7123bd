"""A partition whose fetch is answered with an error waits before the next try, and stops alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors
from aiokafka.consumer import consumer as consumer_module
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from eventproc.delivery.fetch_refusals import (
    MOST_PAUSE_SECONDS,
    STOPPED_PAUSE_SECONDS,
    PatientFetcher,
    first_readable,
    read_anything,
)
from eventproc.delivery.record_batches import unreadable_batches

REFUSED, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)
LASTING = [errors.CorruptRecordException, errors.UnknownError]
PASSING = [
    errors.KafkaStorageError,
    errors.NotLeaderForPartitionError,
    errors.LeaderNotAvailableError,
    errors.ReplicaNotAvailableError,
    errors.UnknownTopicOrPartitionError,
]
OFFSET = 5


class Timers:
    """What the fetcher has asked to be called later."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.calls.append((seconds, lambda: call(*arguments)))


class Scene:
    """A fetcher with two partitions at ``OFFSET`` whose broker answers as it is told."""

    def __init__(self) -> None:
        self.refreshes = 0
        self.timers = Timers()
        state = {one: SimpleNamespace(_position=OFFSET) for one in (REFUSED, OTHER)}
        self.state = state
        self.assignment = SimpleNamespace(active=True, state_value=state.get)
        self.fetcher: Any = PatientFetcher.__new__(PatientFetcher)
        self.fetcher._refusals, self.fetcher._records = {}, {}
        self.now = 100.0
        self.fetcher._clock = lambda: self.now
        self.fetcher._loop = self.timers
        self.fetcher._client = SimpleNamespace(force_metadata_update=self._refresh)
        self.fetcher._wait_consume_future = None
        self.fetcher._notify = lambda _future: None
        self.consumer: Any = SimpleNamespace(_fetcher=self.fetcher)

    def _refresh(self) -> None:
        self.refreshes += 1

    def answer(self, error: type[errors.KafkaError]) -> None:
        request = FetchRequest(0, 1, 1, 1, [("t", [(0, OFFSET, 1), (1, OFFSET, 1)])])
        answer = SimpleNamespace(topics=[("t", [(0, error.errno, -1, b""), (1, 0, 9, b"")])])
        self.fetcher._look_at(answer, self.assignment, request)

    def pauses(self, error: type[errors.KafkaError], times: int) -> list[float]:
        for _ in range(times):
            self.answer(error)
            assert list(self.fetcher._records) == [REFUSED], "it is set apart, and it alone"
            self.timers.calls[-1][1]()
            assert not self.fetcher._records, "it is fetched again"
        return [seconds for seconds, _ in self.timers.calls]


@pytest.mark.parametrize("error", LASTING)
def test_an_error_that_lasts_stops_the_partition_at_once(error: type[errors.KafkaError]) -> None:
    scene = Scene()
    scene.answer(error)
    (stopped,) = unreadable_batches(scene.consumer).items()
    assert stopped[0] == REFUSED
    assert (stopped[1].offset, stopped[1].next_offset, stopped[1].raw) == (OFFSET, None, b"")
    assert error.__name__ in stopped[1].problem
    assert scene.timers.calls[0][0] == STOPPED_PAUSE_SECONDS


@pytest.mark.parametrize("error", PASSING)
def test_an_error_that_may_pass_is_tried_with_growing_pauses(error: type[errors.KafkaError]) -> None:
    scene = Scene()
    assert scene.pauses(error, 6) == [0.1, 0.2, 0.4, 0.8, MOST_PAUSE_SECONDS, MOST_PAUSE_SECONDS]
    assert scene.refreshes == 6, "another broker may lead by now"


@pytest.mark.parametrize("error", PASSING)
def test_an_error_that_should_have_passed_stops_the_partition(
    error: type[errors.KafkaError],
) -> None:
    scene = Scene()
    scene.pauses(error, 2)
    scene.now += 11
    scene.answer(error)
    assert list(unreadable_batches(scene.consumer)) == [REFUSED]


def test_a_good_answer_and_another_offset_begin_from_scratch() -> None:
    scene = Scene()
    scene.pauses(errors.KafkaStorageError, 3)
    scene.answer(errors.NoError)
    assert scene.pauses(errors.KafkaStorageError, 1)[-1] == 0.1
    scene.state[REFUSED]._position = OFFSET + 1
    scene.answer(errors.CorruptRecordException)
    assert not scene.fetcher._records, "the answer is about where reading was before a seek"


@pytest.mark.parametrize("error", [errors.OffsetOutOfRangeError, errors.TopicAuthorizationFailedError])
def test_what_aiokafka_raises_is_left_to_it(error: type[errors.KafkaError]) -> None:
    scene = Scene()
    scene.answer(error)
    assert not scene.fetcher._records


@pytest.mark.parametrize("damaged", [(5, 6), (5, 20), (5, 64), (5, 100)])
def test_the_first_offset_that_the_broker_can_read_is_found(damaged: tuple[int, int]) -> None:
    start, readable = damaged

    async def send(_node: int, request: Any) -> Any:
        ((_, ((_, offset, _),)),) = request.topics
        is_good = offset >= readable
        return SimpleNamespace(topics=[("t", [(0, 0 if is_good else 2, 100, b"x" * is_good)])])

    cluster = SimpleNamespace(leader_for_partition=lambda _: 1)
    client = SimpleNamespace(cluster=cluster, send=send)
    consumer: Any = SimpleNamespace(_client=client, _fetcher=SimpleNamespace(_isolation_level=1))
    assert asyncio.run(first_readable(consumer, REFUSED, start, 100)) == readable


def test_a_broker_that_does_not_answer_is_no_reason_to_skip_a_record() -> None:
    cluster = SimpleNamespace(leader_for_partition=lambda _: None)
    consumer: Any = SimpleNamespace(_client=SimpleNamespace(cluster=cluster))
    with pytest.raises(errors.LeaderNotAvailableError):
        asyncio.run(first_readable(consumer, REFUSED, 0, 100))


def test_aiokafka_still_looks_the_fetcher_up_where_it_is_replaced() -> None:
    read_anything()
    assert "Fetcher" in consumer_module.AIOKafkaConsumer.start.__code__.co_names
    assert consumer_module.Fetcher is PatientFetcher
