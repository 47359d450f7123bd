"""Kafka as a command sees it: every wait has an end, and every trouble is a ``BrokerUnavailableError``.

Topics are read outside of any group, from where one likes to where they end when asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, for_code

from eventproc.delivery.fetch_refusals import poll, read_anything
from eventproc.delivery.kafka_access import Refused, ask_for_access
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.kafka_tls import KeyStoreError
from eventproc.delivery.producer import RecordProducer
from eventproc.delivery.topics import TopicError
from eventproc.errors import BrokerRefusedError, BrokerUnavailableError
from eventproc.group_progress import Remaining, remaining
from settings import Settings

CONNECT_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 30.0
POLL_MS: Final = 500
RETRY_SECONDS: Final = 0.2

Spans: TypeAlias = Mapping[TopicPartition, tuple[int, int]]
"""Of each partition the first offset, and the one before which it ends."""


async def within(seconds: float, answer: Awaitable[Any]) -> Any:
    """The answer, or ``asyncio.TimeoutError``."""
    return await asyncio.wait_for(answer, seconds)


@contextlib.contextmanager
def as_unavailable(settings: Settings) -> Iterator[None]:
    """What Kafka's clients raise becomes ours.

    Raises:
        BrokerRefusedError: Kafka does not let us in.
        BrokerUnavailableError: Kafka did not answer, or refused something else.
    """
    try:
        yield
    except KeyStoreError as error:
        raise BrokerRefusedError(str(error)) from error
    except (KafkaError, OSError, TopicError, asyncio.TimeoutError) as error:
        problem = "no answer in time" if isinstance(error, asyncio.TimeoutError) else str(error)
        raise BrokerUnavailableError(
            f"Kafka at {settings.events.queue.kafka.bootstrap_server}: {problem or type(error).__name__}. "
            "Check events.queue.kafka.bootstrap_server."
        ) from error


@contextlib.asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        await _connect(settings, admin.start())
        yield admin
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def consumer_client(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer of no topic and no group; ``options`` are aiokafka's."""
    read_anything()
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **{
            "max_partition_fetch_bytes": settings.topics.max_message_bytes,
            "isolation_level": settings.consumer.isolation_level,
        }
        | options,
    )
    try:
        await _connect(settings, consumer.start())
        yield consumer
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def producer_client(
    settings: Settings, ordered_topics: frozenset[str] = frozenset()
) -> AsyncIterator[RecordProducer]:
    """A connected producer; see ``RecordProducer`` for ``ordered_topics``."""
    producer = RecordProducer(settings, ordered_topics)
    await _connect(settings, producer.start())
    try:
        yield producer
    finally:
        await producer.stop()


async def _connect(settings: Settings, start: Awaitable[Any]) -> None:
    """Start a client; what aiokafka takes for an absent broker may be one that refuses."""
    try:
        await within(CONNECT_SECONDS, start)
    except (KafkaError, OSError, asyncio.TimeoutError):
        access = await ask_for_access(settings)
        if isinstance(access, Refused):
            raise BrokerRefusedError(f"Kafka does not let us in: {access.problem}.") from None
        raise


async def all_partitions(admin: AIOKafkaAdminClient) -> dict[str, list[TopicPartition]]:
    """The partitions of every topic there is. To ask for one by its name can make it."""
    topics = await within(ANSWER_SECONDS, admin.describe_topics(None))
    return {
        topic["topic"]: [
            TopicPartition(topic["topic"], partition["partition"]) for partition in topic["partitions"]
        ]
        for topic in topics
    }


async def committed_offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """The group's offset and metadata where it has one.

    A broker makes its offsets topic at the first question for one, and has no answer until it is there.
    """
    asked = list(partitions)
    if not asked:
        return {}
    found = await within(
        ANSWER_SECONDS, _retried(lambda: admin.list_consumer_group_offsets(group, partitions=asked))
    )
    return {one: (at.offset, at.metadata or "") for one, at in found.items() if at.offset >= 0}


def remaining_of(
    partition: TopicPartition, spans: Spans, committed: Mapping[TopicPartition, tuple[int, str]]
) -> Remaining:
    """What is left to do of a partition, by ``whole_spans`` and ``committed_offsets``."""
    offset, metadata = committed.get(partition, (None, ""))
    return remaining(*spans[partition], offset, metadata)


async def describe_group(admin: AIOKafkaAdminClient, group: str) -> Any:
    """A group as its coordinator describes it: ``error_code``, ``state``, ``members``.

    Waits for as long as there is no coordinator: a broker makes its offsets topic at the first question.
    """
    while True:
        with contextlib.suppress(GroupCoordinatorNotAvailableError):
            (answer,) = await admin.describe_consumer_groups([group])
            (described,) = answer.to_object()["groups"]
            if not (described["error_code"] and for_code(described["error_code"]).retriable):
                return described
        await asyncio.sleep(RETRY_SECONDS)


@contextlib.asynccontextmanager
async def span_client(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A ``consumer_client`` for which a partition ends after its last record, committed or not.

    For progress: a committed offset can lie beyond the first transaction that is still open, and what is
    behind that waits to be delivered.
    """
    async with consumer_client(settings, isolation_level="read_uncommitted", **options) as consumer:
        yield consumer


async def whole_spans(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> Spans:
    """From where each partition begins to where it ends now.

    For a consumer of committed records that is before the first transaction that is still open.
    """
    if not partitions:
        return {}
    begins = await within(ANSWER_SECONDS, consumer.beginning_offsets(partitions))
    ends = await within(ANSWER_SECONDS, consumer.end_offsets(partitions))
    return {one: (begins[one], ends[one]) for one in partitions}


async def read_topic(settings: Settings, topic: str) -> AsyncGenerator[Any, None]:
    """Every record of a topic, as ``scan`` gives them; none when the topic is not there."""
    async with admin_client(settings) as admin:
        partitions = (await all_partitions(admin)).get(topic, [])
    async with consumer_client(settings) as consumer:
        async for record in scan(consumer, await whole_spans(consumer, partitions)):
            yield record


async def scan(consumer: AIOKafkaConsumer, spans: Spans) -> AsyncGenerator[Any, None]:
    """The records of the spans as aiokafka gives them: each partition in its order, side by side in time.

    Not cut at the end: the embedded broker reports where its last batch starts. More does no harm.
    """
    left = {one for one, (start, end) in spans.items() if start < end}
    if not left:
        return
    consumer.assign(list(left))
    for one in left:
        consumer.seek(one, spans[one][0])
    waiting: dict[TopicPartition, deque[Any]] = {one: deque() for one in sorted(left)}
    while waiting:
        if dry := [one for one in left if not waiting[one]]:
            batches = await within(ANSWER_SECONDS, _next_batches(consumer, dry))
            for one, records in batches.items():
                waiting[one].extend(records)
            left -= {one for one in dry if await consumer.position(one) >= spans[one][1]}
        waiting = {one: records for one, records in waiting.items() if records or one in left}
        while waiting and all(waiting.values()):
            first = min(waiting.values(), key=lambda records: records[0].timestamp)
            yield first.popleft()


async def _next_batches(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, list[Any]]:
    """Records, or at least a step onwards: markers of transactions move the position and give no record."""
    before = [await consumer.position(one) for one in partitions]
    while True:
        batches: dict[TopicPartition, list[Any]] = await poll(consumer, *partitions, timeout_ms=POLL_MS)
        if batches or before != [await consumer.position(one) for one in partitions]:
            return batches


async def _retried(ask: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await ask()
        except KafkaError as error:  # noqa: PERF203 - a retry loop
            if not error.retriable:
                raise
            await asyncio.sleep(RETRY_SECONDS)
