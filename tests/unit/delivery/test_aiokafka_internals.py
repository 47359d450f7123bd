"""The overrides of aiokafka's insides: each still needed, each doing what it is for."""

from __future__ import annotations

import gc
import inspect
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer import sender as aiokafka_sender
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery.aiokafka_internals import partition_of, stop_at_refusal


class FakeBatch:
    def __init__(self) -> None:
        self.failed: list[Exception] = []

    def failure(self, exception: Exception) -> None:
        self.failed.append(exception)


class FakeAccumulator:
    def __init__(self) -> None:
        self._batches: dict[TopicPartition, list[FakeBatch]] = {}

    def _append_batch(self, _builder: Any, partition: TopicPartition) -> FakeBatch:
        batch = FakeBatch()
        self._batches.setdefault(partition, []).append(batch)
        return batch


def test_nothing_is_written_to_an_ordered_partition_after_a_refusal() -> None:
    """The next batch would be written before anybody hears of the first one's failure."""
    accumulator: Any = FakeAccumulator()
    original = accumulator._append_batch
    stop_at_refusal(SimpleNamespace(_message_accumulator=accumulator), {"a"}.__contains__)
    here, other, free = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("dead-letter", 0)
    first = accumulator._append_batch(None, here)
    queued = [accumulator._append_batch(None, here) for _ in range(2)]
    accumulator._append_batch(None, other)
    accumulator._batches[here].pop(0)  # it is under way
    refusal = KafkaConnectionError("too large")
    first.failure(refusal)
    assert [batch.failed for batch in (first, *queued)] == [[refusal]] * 3
    assert here not in accumulator._batches
    with pytest.raises(KafkaConnectionError):
        accumulator._append_batch(None, here)
    accumulator._append_batch(None, other)
    unordered = accumulator._append_batch(None, free)
    unordered.failure(refusal)
    assert original(None, free) is not None
    assert accumulator._append_batch(None, free) is not None


def test_a_batch_that_is_done_is_freed_at_once() -> None:
    """As a reference cycle it would wait for Python to search: 40 MB more while events stream in."""
    accumulator: Any = FakeAccumulator()
    stop_at_refusal(SimpleNamespace(_message_accumulator=accumulator), {"a"}.__contains__)
    here = TopicPartition("a", 0)
    gc.disable()
    try:
        batch = weakref.ref(accumulator._append_batch(None, here))
        accumulator._batches.clear()
        assert batch() is None
    finally:
        gc.enable()


def test_aiokafka_still_makes_and_fails_batches_where_we_listen() -> None:
    source = inspect.getsource(MessageAccumulator.add_message)
    assert "self._append_batch(" in source
    assert "batch.failure(" in inspect.getsource(aiokafka_sender)


def test_the_accumulator_still_takes_its_time_to_live_from_where_we_lift_it() -> None:
    assert "self._batch_ttl" in inspect.getsource(MessageAccumulator)


@given(st.binary(max_size=50), st.integers(1, 20))
def test_a_key_has_the_partition_that_every_client_gives_it(key: bytes, count: int) -> None:
    partitions = list(range(count))
    for _ in range(2):
        assert partition_of(key, partitions, []) == DefaultPartitioner()(key, partitions, [])


def test_without_a_key_a_partition_that_can_be_written_to_is_preferred() -> None:
    assert {partition_of(None, [0, 1, 2], [2]) for _ in range(20)} == {2}
    assert {partition_of(None, [0, 1], []) for _ in range(100)} == {0, 1}
