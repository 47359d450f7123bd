"""What becomes of a batch that Kafka refuses: on aiokafka's own accumulator and sender, with a broker in memory."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
    UnknownError,
    for_code,
)
from aiokafka.producer import sender as aiokafka_sender
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import TopicPartition
from typing_extensions import Self

from eventproc.delivery.producer_internals import BatchWatch, WithdrawnError
from tests.fakes.clock import settle

A, B, FREE = TopicPartition("a", 0), TopicPartition("b", 0), TopicPartition("free", 0)
TOO_LARGE, NO_REPLICAS, UNKNOWN = (
    MessageSizeTooLargeError.errno,
    NotEnoughReplicasError.errno,
    UnknownError.errno,
)


@dataclass
class FakeBroker:
    """Answers each request by ``answers`` of the topic, 0 when these are used up; keeps each number it was given."""

    answers: dict[str, deque[int]] = field(default_factory=dict)
    written: list[tuple[str, int]] = field(default_factory=list)
    requests: int = 0
    is_held: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_held.set()

    async def send(self, _node: int, request: Any) -> Any:
        self.requests += 1
        await self.is_held.wait()
        topics = []
        for topic, partitions in request._topics:
            answer = self.answers[topic].popleft() if self.answers.get(topic) else 0
            if not answer:
                for _, buffer in partitions:
                    self.written.append((topic, int.from_bytes(bytes(buffer[53:57]), "big")))
            topics.append((topic, [(number, answer, 0, -1, 0) for number, _ in partitions]))
        return SimpleNamespace(topics=topics, API_VERSION=5)

    def force_metadata_update(self) -> Any:
        return asyncio.get_running_loop().create_future()

    async def _maybe_wait_metadata(self) -> None:
        """There is none."""


class World:
    def __init__(self) -> None:
        self.broker = FakeBroker()
        cluster: Any = SimpleNamespace(leader_for_partition=lambda _partition: 1)
        transactions = TransactionManager(None, 0)
        transactions.set_pid_and_epoch(7, 0)
        self.accumulator = MessageAccumulator(cluster, 16_000, 0, 60, txn_manager=transactions)
        self.sender = Sender(
            self.broker,
            acks=-1,
            txn_manager=transactions,
            message_accumulator=self.accumulator,
            retry_backoff_ms=10,
            request_timeout_ms=1000,
        )
        producer: Any = SimpleNamespace(
            _message_accumulator=self.accumulator, _txn_manager=transactions, _sender=self.sender
        )
        self.watch = BatchWatch(producer, {"a", "b"}.__contains__)

    async def add(self, partition: TopicPartition, value: bytes = b"v") -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = await self.accumulator.add_message(partition, b"k", value, 5)
        return future

    async def fate(self, future: asyncio.Future[Any]) -> type[BaseException] | None:
        await asyncio.wait([future], timeout=10)
        error = future.exception()
        return None if error is None else type(error)

    async def __aenter__(self) -> Self:
        await self.sender.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sender.close()


async def test_after_a_refusal_the_next_record_has_the_number_that_the_refused_one_had() -> None:
    """aiokafka counts on, and Kafka refuses all that follows as out of order, until the restart."""
    async with World() as world:
        world.broker.answers["free"] = deque([0, TOO_LARGE, TopicAuthorizationFailedError.errno])
        fates = [await world.fate(await world.add(FREE)) for _ in range(5)]
    assert fates == [None, MessageSizeTooLargeError, TopicAuthorizationFailedError, None, None]
    assert world.broker.written == [("free", 0), ("free", 1), ("free", 2)]
    assert not world.watch.is_tainted


@pytest.mark.parametrize("answers", [[UNKNOWN], [NO_REPLICAS, TOO_LARGE]])
async def test_a_number_that_kafka_may_have_seen_is_never_used_again(answers: list[int]) -> None:
    """Kafka would take the next record for the one that it has, and acknowledge without writing it."""
    async with World() as world:
        world.broker.answers["free"] = deque(answers)
        assert await world.fate(await world.add(FREE)) is type(for_code(answers[-1])())
        assert world.watch.is_tainted
        assert not world.watch.readmit("free")
        assert world.watch.readmit("a")


async def test_nothing_is_written_to_an_ordered_partition_behind_a_refusal() -> None:
    """The next batch would be written before its caller hears of the first one's failure."""
    async with World() as world:
        world.broker.answers["a"] = deque([TOO_LARGE])
        world.broker.is_held.clear()
        first = await world.add(A)
        await settle()
        queued = [await world.add(A), await world.add(A)]
        other = await world.add(B)
        world.broker.is_held.set()
        assert [await world.fate(one) for one in (first, *queued)] == [MessageSizeTooLargeError] * 3
        assert await world.fate(other) is None
        with pytest.raises(MessageSizeTooLargeError):
            await world.add(A)
        assert world.watch.readmit("a")
        assert await world.fate(await world.add(A)) is None
        assert world.broker.written == [("b", 0), ("a", 0)]


async def test_what_is_to_be_sent_again_holds_neither_its_broker_nor_other_topics() -> None:
    async with World() as world:
        world.sender._retry_backoff = 3600.0
        world.broker.answers["a"] = deque([NO_REPLICAS])
        stuck = await world.add(A)
        await settle()
        assert "NotEnoughReplicas" in world.watch.problems["a"]
        for _ in range(3):
            assert await world.fate(await world.add(B)) is None
        assert not stuck.done()
        world.watch._retries.pop().cancel()


async def test_a_retry_goes_on_until_kafka_takes_it_and_keeps_the_order() -> None:
    async with World() as world:
        world.broker.answers["a"] = deque([NO_REPLICAS] * 3)
        first = await world.add(A)
        await settle()
        second = await world.add(A)
        assert await world.fate(first) is await world.fate(second) is None
        assert world.broker.written == [("a", 0), ("a", 1)]
        assert world.watch.problems == {}


async def test_what_is_withdrawn_is_given_back_in_order_and_needs_another_producer() -> None:
    async with World() as world:
        world.broker.answers["a"] = deque([NO_REPLICAS] * 1000)
        first = await world.add(A)
        await settle()
        second = await world.add(A)
        world.watch.withdraw("a")
        assert {await world.fate(first), await world.fate(second)} <= {WithdrawnError, NotEnoughReplicasError}
        assert await world.fate(await world.add(B)) is None


async def test_a_producer_that_has_ended_fails_everything() -> None:
    async with World() as world:
        world.broker.is_held.clear()
        first = await world.add(A)
        await settle()
        rest = [await world.add(A), await world.add(FREE)]
        world.watch.give_up()
        assert [await world.fate(one) for one in (first, *rest)] == [WithdrawnError] * 3
        with pytest.raises(KafkaError):
            await world.add(FREE)
        assert world.watch.is_broken
        assert not world.watch.readmit("b")
        world.broker.is_held.set()


async def test_a_batch_that_is_done_is_freed_at_once() -> None:
    """As a reference cycle it would wait for Python to search: 40 MB more while events stream in."""
    world = World()
    gc.disable()
    try:
        batch = weakref.ref(world.accumulator._append_batch(world.accumulator.create_builder(), A))
        world.accumulator._batches.clear()
        assert batch() is None
    finally:
        gc.enable()


def test_aiokafka_still_makes_and_fails_batches_where_we_listen() -> None:
    assert "self._append_batch(" in inspect.getsource(MessageAccumulator.add_message)
    assert "batch.failure(" in inspect.getsource(aiokafka_sender)
    assert "self._send_produce_req(" in inspect.getsource(Sender)
    assert "increment_sequence_number(batch.tp, batch.record_count)" in inspect.getsource(
        MessageAccumulator._pop_batch
    )


def test_the_accumulator_still_takes_its_time_to_live_from_where_we_lift_it() -> None:
    assert "self._batch_ttl" in inspect.getsource(MessageAccumulator)
