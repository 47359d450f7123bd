"""Dead-letter topic -> destination's topic: reads what waits, sends what an operator chose.

Of each event first the record for its destination is acknowledged, then the note that takes it off the list.
Whatever ends this program in between leaves the event in both: a duplicate at most, never a loss.

The topic is read outside of any group, from its start to where it ends when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from operator import itemgetter
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from eventproc.dead_letters import redriven_note
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.producer import RecordProducer
from eventproc.errors import BrokerUnavailableError
from eventproc.records import Headers
from eventproc.redrive import Entry, Plan, Send, TopicRecord, WaitingLetters, in_rounds
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.redrive")

ROUND_SENDS: Final = 100
CONNECT_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 30.0
POLL_MS: Final = 500


class Producer(Protocol):
    """What a redrive needs of ``RecordProducer``."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Append one record; the future ends when Kafka has acknowledged it."""


class Redriver:
    """One operator's look at the dead-letter topic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.dead_letter
        self._servers = settings.events.queue.kafka.bootstrap_server

    async def read_waiting(self) -> list[Entry]:
        """Every dead letter that waits, in the topic's order; none when the topic is not there.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        with _as_unavailable(self._servers):
            partitions = await self._partitions()
            by_partition = await self._read(partitions) if partitions else {}
        letters = WaitingLetters()
        # One partition in practice. Of several each keeps its order, and the clock puts them side by side.
        for _, record in heapq.merge(*by_partition.values(), key=itemgetter(0)):
            letters.add(record)
        if letters.foreign:
            log.warning("dead_letter_topic.foreign_records", topic=self._topic, count=letters.foreign)
        return letters.entries()

    async def send(self, plan: Plan, on_progress: Callable[[int], None]) -> None:
        """Send everything of a plan; ``on_progress`` is told how many are done.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused; what is not done still waits.
        """
        producer = RecordProducer(self._settings, frozenset())
        with _as_unavailable(self._servers):
            await _within(CONNECT_SECONDS, producer.start())
            try:
                await send_all(plan.sends, producer, self._topic, plan.at, on_progress)
            finally:
                await producer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        """By a list of all topics: to ask for one by name can make it."""
        admin = AIOKafkaAdminClient(**connection_options(self._settings))
        try:
            await _within(CONNECT_SECONDS, admin.start())
            topics = await _within(ANSWER_SECONDS, admin.describe_topics(None))
        finally:
            await admin.close()
        return [
            TopicPartition(self._topic, partition["partition"])
            for topic in topics
            if topic["topic"] == self._topic
            for partition in topic["partitions"]
        ]

    async def _read(
        self, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, list[tuple[int, TopicRecord]]]:
        """By partition, each record behind its timestamp."""
        found: dict[TopicPartition, list[tuple[int, TopicRecord]]] = {one: [] for one in partitions}
        async with self._consumer(partitions) as consumer:
            ends = await _within(ANSWER_SECONDS, consumer.end_offsets(partitions))
            begins = await _within(ANSWER_SECONDS, consumer.beginning_offsets(partitions))
            for partition in partitions:
                consumer.seek(partition, begins[partition])
            # Not cut at the end: the embedded broker reports where its last batch starts; more does no harm.
            left = [one for one in partitions if begins[one] < ends[one]]
            while left:
                batches = await _within(ANSWER_SECONDS, _next_batches(consumer, left))
                for partition, records in batches.items():
                    found[partition] += [(record.timestamp, _as_record(record)) for record in records]
                left = [one for one in left if await consumer.position(one) < ends[one]]
        return found

    @contextlib.asynccontextmanager
    async def _consumer(self, partitions: list[TopicPartition]) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **connection_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=self._settings.topics.max_message_bytes,
        )
        try:
            await _within(CONNECT_SECONDS, consumer.start())
            consumer.assign(partitions)
            yield consumer
        finally:
            await consumer.stop()


async def send_all(
    sends: Sequence[Send], producer: Producer, topic: str, at: str, on_progress: Callable[[int], None]
) -> None:
    """Send in rounds; ``topic`` is where the notes go. Ends at the first round in which anything failed.

    Raises:
        KafkaError: as the producer raised it, after the notes of what was acknowledged.
        asyncio.TimeoutError: a round was not acknowledged in time.
    """
    done = 0
    for group in in_rounds(sends, ROUND_SENDS):
        placed = await asyncio.gather(*(_place(producer, send) for send in group), return_exceptions=True)
        notes = []
        for send, place in zip(group, placed, strict=True):
            if not isinstance(place, BaseException):
                notes.append(_note(producer, topic, send, at, place))
        await asyncio.gather(*notes)
        done += len(notes)
        on_progress(done)
        for place in placed:
            if isinstance(place, BaseException):
                raise place


async def _place(producer: Producer, send: Send) -> tuple[int, int]:
    """Partition and offset where the event is now."""
    metadata = await _acknowledged(producer, send.topic, send.key, send.value, send.headers)
    return metadata.partition, metadata.offset


async def _note(producer: Producer, topic: str, send: Send, at: str, place: tuple[int, int]) -> None:
    entry = send.entry
    headers = redriven_note(entry.destination, entry.lane, at, entry.offset, place)
    await _acknowledged(producer, topic, entry.key, b"", headers)


async def _acknowledged(
    producer: Producer, topic: str, key: bytes, value: bytes | None, headers: Headers
) -> Any:
    async def send_and_wait() -> Any:
        return await (await producer.send(topic, key, value, headers))

    return await _within(ANSWER_SECONDS, send_and_wait())


async def _next_batches(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, list[Any]]:
    """Records, or at least a step onwards: markers of transactions move the position and give no record."""
    before = [await consumer.position(one) for one in partitions]
    while True:
        batches: dict[TopicPartition, list[Any]] = await consumer.getmany(*partitions, timeout_ms=POLL_MS)
        if batches or before != [await consumer.position(one) for one in partitions]:
            return batches


def _as_record(record: Any) -> TopicRecord:
    return TopicRecord(record.offset, record.key, record.value, list(record.headers))


async def _within(seconds: float, answer: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(answer, seconds)


@contextlib.contextmanager
def _as_unavailable(servers: str) -> Any:
    try:
        yield
    except (KafkaError, OSError, asyncio.TimeoutError) as error:
        problem = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)
        raise BrokerUnavailableError(
            f"Kafka at {servers}: {problem or type(error).__name__}. "
            "Check events.queue.kafka.bootstrap_server and the security settings."
        ) from error
