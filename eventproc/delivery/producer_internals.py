"""The insides of aiokafka's producer (0.14): what becomes of a batch that Kafka refuses, or does not answer.

``never_expire``
    A batch without a leader is dropped after the request time-out, and the next one is sent.
``BatchWatch._fail``
    aiokafka goes on with a partition's next batch after one has failed for good. The sinks' replay filter
    takes the gap for done, so nothing follows a refusal in an ordered topic until it is let in again.
``BatchWatch._give_back``
    aiokafka numbers a batch when it takes it from its queue (``MessageAccumulator._pop_batch``), and does not
    give the numbers of a refused one back: each later batch of the partition is OutOfOrderSequenceNumber.
    Apache's client gives them back (``TransactionManager.handleFailedBatch``), where the broker has surely
    not written the batch. In all other cases only another producer can go on.
``BatchWatch._fail_all``
    The same for all batches of a producer that has ended, which would change what aiokafka goes through.
``BatchWatch._send``
    A batch that is to be sent again holds its broker for 100 ms (``SendProduceReqHandler.do``), so one topic
    with too few in-sync replicas slowed all topics down. And nobody is told what a broker answers as long as
    it may be tried again: ``problems`` keeps it.

Proof: tests/unit/delivery/test_producer_internals.py, tests/integration/test_refusals.py.
"""

# ruff: noqa: SLF001 - what the module is for

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.structs import TopicPartition

NOT_WRITTEN: Final = (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
)
"""A broker that answers so has written nothing of the batch."""


class WithdrawnError(KafkaError):
    """A record was taken back from the producer; Kafka may have written it all the same."""


def never_expire(producer: AIOKafkaProducer) -> None:
    """Batches wait for a partition's leader for as long as it takes."""
    producer._message_accumulator._batch_ttl = float("inf")


class BatchWatch:
    """Follows the batches of one producer.

    Args:
        producer: started, with nothing sent yet.
        ordered: whether nothing may be written to a topic behind a refused batch.
    """

    def __init__(self, producer: AIOKafkaProducer, ordered: Callable[[str], bool]) -> None:
        self.problems: dict[str, str] = {}
        """What Kafka last answered about each topic that does not take a batch at present."""
        self._ordered = ordered
        self._accumulator: Any = producer._message_accumulator
        self._transactions: Any = producer._txn_manager
        self._sender: Any = producer._sender
        self._refused: dict[TopicPartition, Exception] = {}
        self._tainted: set[TopicPartition] = set()
        self._withdrawn: set[str] = set()
        self._retries: set[asyncio.Task[None]] = set()
        self._append_batch = self._accumulator._append_batch
        self._accumulator._append_batch = self._append
        self._accumulator.fail_all = self._fail_all
        self._sender._send_produce_req = self._send

    @property
    def is_tainted(self) -> bool:
        """Whether some partition takes no more from this producer, whatever is done at the broker."""
        return bool(self._tainted) or self.is_broken

    @property
    def is_broken(self) -> bool:
        """Whether the producer has ended by itself."""
        return self._accumulator._exception is not None

    def give_up(self) -> None:
        """Fail whatever is unanswered, so that the producer can stop."""
        self._fail_all(WithdrawnError("the producer stops"))

    def readmit(self, topic: str) -> bool:
        """Let an ordered topic be written again after a refusal; False: it needs another producer."""
        self._withdrawn.discard(topic)
        if self.is_broken or any(one.topic == topic for one in self._tainted):
            return False
        for partition in [one for one in self._refused if one.topic == topic]:
            del self._refused[partition]
        return True

    def withdraw(self, topic: str) -> None:
        """Fail what is queued for a topic now, and what is under way once the broker answers."""
        self._withdrawn.add(topic)
        accumulator = self._accumulator
        for partition, queued in list(accumulator._batches.items()):
            if partition.topic == topic and queued and partition not in self._sender._muted_partitions:
                if queued[0].retry_count:
                    accumulator._pending_batches.add(queued[0])  # where aiokafka looks for it once it is done
                queued[0].failure(WithdrawnError(topic))

    def _append(self, builder: Any, partition: TopicPartition) -> Any:
        if partition in self._refused:
            raise self._refused[partition]
        batch = self._append_batch(builder, partition)
        # Weak: every batch would be a reference cycle, megabytes that wait for Python to search for such.
        batch.failure = partial(self._fail, weakref.ref(batch), partition)
        return batch

    def _fail(self, failed: Callable[[], Any], partition: TopicPartition, exception: Exception) -> None:
        """In the moment in which a batch fails: whoever waits for its future hears of it too late."""
        batch = failed()  # there: whoever fails it has it
        self.problems[partition.topic] = repr(exception)[:200]
        queued: Iterable[Any] = ()
        if self._ordered(partition.topic):
            self._refused[partition] = exception
            queued = self._accumulator._batches.pop(partition, ())
        self._give_back(batch, partition, exception)
        type(batch).failure(batch, exception)
        for one in queued:
            if one is not batch:
                one.failure(exception)

    def _fail_all(self, exception: Exception) -> None:
        """Aiokafka's ``fail_all``, which breaks off when the failure of one batch is that of others."""
        self._accumulator._exception = exception
        queued = [batch for batches in self._accumulator._batches.values() for batch in batches]
        for batch in (*queued, *self._accumulator._pending_batches):
            batch.failure(exception)

    def _give_back(self, batch: Any, partition: TopicPartition, exception: Exception) -> None:
        if self._transactions is None or not batch.retry_count:  # it was never sent
            return
        if batch.retry_count == 1 and isinstance(exception, NOT_WRITTEN):
            self._transactions.increment_sequence_number(partition, -batch.record_count)
        else:
            self._tainted.add(partition)

    async def _send(self, node_id: int, batches: dict[TopicPartition, Any]) -> None:
        """Aiokafka's ``_send_produce_req``; what is to be sent again waits without its broker."""
        handler = _Handler(self._sender, batches, self._may_retry)
        await handler.do(node_id)
        self._sender._in_flight.remove(node_id)
        for partition, batch in batches.items():
            if batch in handler.again:
                continue
            self._sender._muted_partitions.remove(partition)
            if not batch.future.done() or batch.future.exception() is None:
                self.problems.pop(partition.topic, None)
        if handler.again:
            task = asyncio.get_running_loop().create_task(self._send_again(handler))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)

    async def _send_again(self, handler: _Handler) -> None:
        await asyncio.sleep(self._sender._retry_backoff)
        accumulator = self._accumulator
        for batch in handler.again:
            self._sender._muted_partitions.remove(batch.tp)
            if batch.future.done():
                continue  # the producer has ended meanwhile
            if batch.tp.topic in self._withdrawn:
                batch.failure(WithdrawnError(batch.tp.topic))
            else:
                accumulator.reenqueue(batch)
        if not accumulator._waiter_future.done():
            accumulator._waiter_future.set_result(None)

    def _may_retry(self, error: KafkaError, batch: Any) -> bool:
        self.problems[batch.tp.topic] = repr(error)[:200]
        return batch.tp.topic not in self._withdrawn


class _Handler(SendProduceReqHandler):
    """aiokafka's, which leaves what is to be sent again to whoever made it."""

    def __init__(self, sender: Any, batches: Any, may_retry: Callable[[KafkaError, Any], bool]) -> None:
        super().__init__(sender, batches)
        self.again: list[Any] = []
        self._may_retry = may_retry

    async def do(self, node_id: int) -> None:
        """aiokafka's, without the wait at its end."""
        request = self.create_request()
        try:
            response = await self._client.send(node_id, request)
        except KafkaError as error:
            if error.invalid_metadata:
                self._client.force_metadata_update()
            for batch in self._batches.values():
                if not self._can_retry(error, batch):
                    batch.failure(exception=error)
        else:
            self.handle_response(response)

    def _can_retry(self, error: KafkaError, batch: Any) -> bool:
        if not super()._can_retry(error, batch) or not self._may_retry(error, batch):
            return False
        self.again.append(batch)
        return True
