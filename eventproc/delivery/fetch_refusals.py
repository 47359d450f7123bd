"""A partition that its broker refuses to read stops alone, with a pause between the tries (aiokafka 0.14).

For most errors aiokafka logs "Unexpected error while fetching data" and fetches again at once, some 600 times
in a second for as long as it lasts, and reports it to no one. Apache Kafka 4.1 answers CORRUPT_MESSAGE for a
batch whose length on the disk is damaged, UNKNOWN_SERVER_ERROR for one whose version is, and
KAFKA_STORAGE_ERROR for a disk that is lost. For a length that is too large it answers with no error and no
records, at this offset and at those behind it up to the next entry of its index.

::

    offsets    0 1 2 3 4 5 6 7 8 9 ...    4: damaged; 0 to 3 can be read; 4 to 7 are refused,
    log        r r r r X r r r r r        as the broker goes through X to find them;
    index      ^               ^          8 and the rest can be read again

``PatientFetcher``
    In place of aiokafka's: keeps a refused partition among the fetched records, where ``record_batches.py``
    keeps an unreadable batch, so that it is not fetched meanwhile. The pause doubles up to a bound. Metadata
    is refreshed, as another broker may lead. An error that does not pass by itself is unreadable at once,
    others after ``PASSING_SECONDS``.
``first_readable``
    Where reading can go on. The broker alone knows: it is asked for single offsets.

There is no public way: aiokafka's consumer looks the class up in its module. Proof:
tests/unit/delivery/test_fetch_refusals.py, tests/integration/test_stopped_partition.py.
"""

# ruff: noqa: SLF001 - see above
from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from eventproc.delivery.record_batches import (
    FetchedRecords,
    RawBatches,
    Records,
    UnreadableBatch,
    read_any_batch,
    unreadable_batches,
)

log = structlog.stdlib.get_logger("eventproc.delivery")

FIRST_PAUSE_SECONDS: Final = 0.1
MOST_PAUSE_SECONDS: Final = 1.0
STOPPED_PAUSE_SECONDS: Final = 30.0
PASSING_SECONDS: Final = 10.0
"""A change of leaders is over by then."""

_RAISED: Final = (OffsetOutOfRangeError, TopicAuthorizationFailedError)
"""aiokafka gives these to the caller."""
_LASTING: Final = (CorruptRecordException, UnknownError)
_ANSWER_MS: Final = 100
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a broker has answered for ``offset`` each time since ``since``, of a monotonic clock."""

    offset: int
    since: float
    times: int


class RefusedRecords(Records):
    """In place of the records of a fetch that was refused; ``unreadable`` is None while it may pass."""

    is_held = True

    def __init__(self, partition: TopicPartition, offset: int, unreadable: UnreadableBatch | None) -> None:
        super().__init__(partition, RawBatches(b""), None, offset, None, None, False, None)
        self.unreadable = unreadable


class PatientFetcher(fetcher.Fetcher):
    """In place of aiokafka's."""

    def __init__(self, client: Any, *args: Any, **kwargs: Any) -> None:
        self._refusals: dict[TopicPartition, Refusal] = {}
        self._clock: Callable[[], float] = time.monotonic
        super().__init__(_KeepsAnswers(client), *args, **kwargs)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        has_records: bool = await super()._proc_fetch_request(assignment, node_id, request)
        answer = getattr(request, "answer", None)
        if answer is not None and assignment.active:
            self._look_at(answer, assignment, request)
        return has_records

    def _look_at(self, answer: Any, assignment: Any, request: Any) -> None:
        for topic, partitions in answer.topics:
            for number, error_code, *_ in partitions:
                partition = TopicPartition(topic, number)
                if not error_code:
                    self._refusals.pop(partition, None)
                elif (error := for_code(error_code)) not in _RAISED and partition not in self._records:
                    offset = _fetched_from(request, partition)
                    if offset is not None and offset == assignment.state_value(partition)._position:
                        self._refuse(assignment, partition, offset, error)

    def _refuse(
        self, assignment: Any, partition: TopicPartition, offset: int, error: type[KafkaError]
    ) -> None:
        now = self._clock()
        before = self._refusals.get(partition)
        if before is None or before.offset != offset:
            before = Refusal(offset, now, 0)
        self._refusals[partition] = Refusal(offset, before.since, before.times + 1)
        unreadable = None
        pause = min(MOST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(before.times, 10))
        if error in _LASTING or now - before.since >= PASSING_SECONDS:
            problem = f"the broker answers {error.__name__} for this offset"
            unreadable, pause = UnreadableBatch(offset, None, problem, b""), STOPPED_PAUSE_SECONDS
        if error not in _LASTING:
            self._client.force_metadata_update()
        self.set_apart(assignment, RefusedRecords(partition, offset, unreadable), pause)

    def set_apart(self, assignment: Any, records: RefusedRecords, pause_seconds: float) -> None:
        """Do not fetch a partition for so long."""
        partition = records._tp
        held = FetchedRecords(partition, assignment=assignment, partition_records=records, backoff=0)
        self._records[partition] = held
        self._loop.call_later(pause_seconds, self._fetch_again, partition, held)

    def _fetch_again(self, partition: TopicPartition, held: FetchedRecords) -> None:
        if self._records.get(partition) is held:
            del self._records[partition]
            self._notify(self._wait_consume_future)


def read_anything() -> None:
    """Let every consumer of this process read any batch, and stop at what cannot be read, from now on."""
    read_any_batch()
    consumer_module.Fetcher = PatientFetcher


async def is_readable(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> bool:
    """Whether the broker has records to give at this offset, which is below the partition's end.

    Raises:
        KafkaError: no broker answered, or with an error that may pass.
    """
    node = consumer._client.cluster.leader_for_partition(partition)
    if node is None or node < 0:
        raise LeaderNotAvailableError(partition)
    topics = [(partition.topic, [(partition.partition, offset, 1)])]
    request = FetchRequest(_ANSWER_MS, 1, 1, consumer._fetcher._isolation_level, topics)
    try:
        answer = await asyncio.wait_for(consumer._client.send(node, request), _ANSWER_SECONDS)
    except asyncio.TimeoutError as error:
        raise RequestTimedOutError(partition) from error
    ((_, ((_, error_code, *_, data),)),) = answer.topics
    if error_code and for_code(error_code) not in _LASTING:
        raise for_code(error_code)(partition)
    return not error_code and len(data) > 0


async def first_readable(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, end: int) -> int:
    """Return the first offset behind ``offset`` that the broker can read, ``end`` when there is none.

    The broker finds an offset by its index, and goes through the log from there: behind the first entry of
    the index that is behind the damage, all can be read. So halving finds it.

    Raises:
        KafkaError: no broker answered; nothing is concluded from that.
    """
    refused, found = offset, end
    while found - refused > 1:
        middle = (refused + found) // 2
        if await is_readable(consumer, partition, middle):
            found = middle
        else:
            refused = middle
    return found


async def poll(
    consumer: AIOKafkaConsumer, *partitions: TopicPartition, **options: Any
) -> dict[TopicPartition, list[Any]]:
    """Call ``getmany`` for a reader that must not stop: step over what cannot be read, and log it."""
    found: dict[TopicPartition, list[Any]] = await consumer.getmany(*partitions, **options)
    for partition, batch in unreadable_batches(consumer).items():
        end = (await consumer.end_offsets([partition]))[partition]
        next_offset = batch.next_offset
        if next_offset is None:
            next_offset = await first_readable(consumer, partition, batch.offset, end)
        log.error(
            "batch.skipped",
            topic=partition.topic,
            partition=partition.partition,
            offset=batch.offset,
            next_offset=next_offset,
            bytes=len(batch.raw),
            problem=batch.problem,
        )
        consumer.seek(partition, min(next_offset, end))
    return found


def silent_partitions(
    consumer: AIOKafkaConsumer, paused: Collection[tuple[str, int]]
) -> dict[TopicPartition, int]:
    """The positions of the partitions that end behind them, and of which nothing has come."""
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None or consumer._fetcher is None:
        return {}
    held = consumer._fetcher._records
    return {
        partition: state._position
        for partition, state in subscription.assignment._tp_state.items()
        if state._position is not None
        and state._position < _readable_end(state)
        and not state._paused
        and partition not in held
        and partition not in paused
    }


async def stop_at_silence(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
    """Set a partition apart if the broker has nothing to give at its position when asked for it alone."""
    try:
        if await is_readable(consumer, partition, offset):
            return
    except KafkaError:
        return
    fetcher_, assignment = consumer._fetcher, consumer._subscription.subscription.assignment
    state = assignment and assignment.state_value(partition)
    if state is None or state._position != offset or partition in fetcher_._records:
        return
    end = _readable_end(state)
    problem = f"the broker returns no records for this offset, although the partition ends at {end}"
    records = RefusedRecords(partition, offset, UnreadableBatch(offset, None, problem, b""))
    fetcher_.set_apart(assignment, records, STOPPED_PAUSE_SECONDS)


def _readable_end(state: Any) -> int:
    end = state.highwater if state.lso is None or state.lso < 0 else state.lso
    return -1 if end is None else int(end)


class _KeepsAnswers:
    """aiokafka's client, which passes everything on; a fetch keeps its answer."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        answer = await self._client.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            request.answer = answer
        return answer


def _fetched_from(request: FetchRequest, partition: TopicPartition) -> int | None:
    for topic, entries in request.topics:
        if topic == partition.topic:
            for number, offset, *_ in entries:
                if number == partition.partition:
                    return int(offset)
    return None
