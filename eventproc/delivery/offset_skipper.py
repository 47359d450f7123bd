"""Steps over a batch that cannot be read: notes it in the invalid topic, then moves the group's offset."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    POLL_MS,
    admin_client,
    all_partitions,
    as_unavailable,
    committed_offsets,
    consumer_client,
    producer_client,
    whole_spans,
    within,
)
from eventproc.delivery.fetch_refusals import first_readable, is_readable
from eventproc.delivery.offset_importer import OffsetImporter
from eventproc.delivery.record_batches import UnreadableBatch, unreadable_batches
from eventproc.delivery.topic_limits import read_topic_limits
from eventproc.group_progress import remaining
from eventproc.invalid_copy import invalid_copy
from eventproc.record_limits import RecordLimits
from eventproc.records import Source
from eventproc.watermark import MetadataError, SourceKey, SourceMark, decode_metadata, encode_metadata
from settings import Settings

REASON: Final = "unreadable-batch"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The first batch of a partition that cannot be read, and how many records before it are not done."""

    partition: TopicPartition
    batch: UnreadableBatch
    next_offset: int
    end: int
    undone: int
    metadata: str


class OffsetSkipper:
    """The real thing behind ``eventproc offsets skip``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = settings.topics.consumer_group

    async def members(self) -> int | None:
        """How many workers are in our group; None when that is not told."""
        return await OffsetImporter(self._settings).members()

    async def find(self, topic: str, number: int) -> Obstacle | None:
        """Read from the group's offset on; None when everything can be read, or there is no such partition.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        partition = TopicPartition(topic, number)
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                if partition not in (await all_partitions(admin)).get(topic, []):
                    return None
                committed = await committed_offsets(admin, self._group, [partition])
            async with consumer_client(self._settings) as consumer:
                begin, end = (await whole_spans(consumer, [partition]))[partition]
                offset, metadata = committed.get(partition, (None, ""))
                batch = await _first_unreadable(consumer, partition, begin if offset is None else offset, end)
                if batch is None:
                    return None
                next_offset = batch.next_offset
                if next_offset is None:
                    next_offset = await first_readable(consumer, partition, batch.offset, end)
        undone = remaining(begin, batch.offset, offset, metadata).count
        return Obstacle(partition, batch, min(next_offset, end), end, undone, metadata)

    async def skip(self, obstacle: Obstacle) -> None:
        """Write the batch to the invalid topic, then move the group's offset behind it.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused; the offset may stand where it was.
        """
        topics, batch, partition = self._settings.topics, obstacle.batch, obstacle.partition
        limits = RecordLimits(topics.max_message_bytes)
        limits.learn(await read_topic_limits(self._settings, [topics.invalid]))
        copy = invalid_copy(
            None,
            batch.raw,
            [("next-offset", b"%d" % obstacle.next_offset)],
            source=Source(partition.topic, partition.partition, batch.offset, 0),
            reason=REASON,
            detail=f"up to offset {obstacle.next_offset - 1}, {len(batch.raw)} bytes: {batch.problem}",
            limit=limits.of(topics.invalid),
        )
        offsets = {partition: OffsetAndMetadata(obstacle.next_offset, _behind(obstacle))}
        with as_unavailable(self._settings):
            async with producer_client(self._settings) as producer:
                written = producer.send_and_wait(topics.invalid, copy.key, copy.value, copy.headers)
                await within(ANSWER_SECONDS, written)
            async with consumer_client(self._settings, group_id=self._group) as consumer:
                consumer.assign([partition])
                await within(ANSWER_SECONDS, consumer.commit(offsets))


async def _first_unreadable(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> UnreadableBatch | None:
    consumer.assign([partition])
    consumer.seek(partition, start)

    async def one_step() -> None:
        before = await consumer.position(partition)
        while not unreadable_batches(consumer) and await consumer.position(partition) == before:
            await consumer.getmany(partition, timeout_ms=POLL_MS)

    while await within(ANSWER_SECONDS, consumer.position(partition)) < end:
        try:
            await within(ANSWER_SECONDS, one_step())
        except asyncio.TimeoutError:
            offset = await consumer.position(partition)
            if await is_readable(consumer, partition, offset):
                return None  # Kafka is slow
            return UnreadableBatch(offset, None, "the broker returns no records for this offset", b"")
        if (batch := unreadable_batches(consumer).get(partition)) is not None:
            return batch
    return None


def _behind(obstacle: Obstacle) -> str:
    """The metadata of the new offset: nothing behind it is done, and the marks against replays stay."""
    marks: dict[SourceKey, SourceMark] = {}
    if obstacle.metadata:
        try:
            marks = decode_metadata(obstacle.metadata).marks
        except MetadataError:
            return ""
    next_offset = obstacle.next_offset
    return encode_metadata(next_offset, next_offset, [], marks) if marks else ""
