"""How every destination stands, from Kafka alone: true for all workers together, and also when none runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    POLL_MS,
    Spans,
    admin_client,
    all_partitions,
    as_unavailable,
    committed_offsets,
    consumer_client,
    describe_group,
    remaining_of,
    scan,
    span_client,
    whole_spans,
    within,
)
from eventproc.delivery.control import read_paused
from eventproc.delivery.fetch_refusals import poll
from eventproc.group_progress import ClusterStatus, DestinationStatus, Member
from eventproc.identifiers import DestinationId
from eventproc.letter_count import LetterCount
from eventproc.records import read_origin
from eventproc.redrive import TopicRecord
from settings import Settings

FETCH_BYTES: Final = 64 * 1024
"""Of each partition only its oldest record is looked at; Kafka gives a larger one all the same."""

MAX_DEAD_LETTER_RECORDS: Final = 50_000
"""Dead letters are counted by reading their topic; a longer one is left alone."""


async def read_status(settings: Settings, topics: Mapping[DestinationId, str]) -> ClusterStatus:
    """How these destinations stand; ``topics`` has the topic of each.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
    """
    source = settings.topics.source
    with as_unavailable(settings):
        async with admin_client(settings) as admin:
            by_topic = await all_partitions(admin)
            wanted = [one for name in [source, *topics.values()] for one in by_topic.get(name, [])]
            committed = await committed_offsets(admin, settings.topics.consumer_group, wanted)
        async with span_client(settings, max_partition_fetch_bytes=FETCH_BYTES) as consumer:
            spans = await whole_spans(consumer, wanted)
            left = {one: remaining_of(one, spans, committed) for one in wanted}
            places = {one: rest.first_offset for one, rest in left.items() if rest.first_offset is not None}
            oldest = await _published_at(
                consumer, {p: (o, spans[p][1]) for p, o in places.items() if p.topic != source}
            )
            # The embedded broker reports where its last batch starts; a fetch tells the end.
            spans = {one: (begin, max(end, _highwater(consumer, one))) for one, (begin, end) in spans.items()}
        left = {one: remaining_of(one, spans, committed) for one in wanted}
        dead_letters = await _dead_letters(settings, by_topic)
        paused = await read_paused(settings)
        members = await _members(settings)

    def status(id_: DestinationId, topic: str) -> DestinationStatus:
        partitions = by_topic.get(topic, [])
        ages = [oldest[one] for one in partitions if one in oldest]
        return DestinationStatus(
            id_,
            topic,
            len(partitions),
            sum(left[one].count for one in partitions),
            min(ages, default=None),
            paused.get(id_),
            None if dead_letters is None else dead_letters[id_],
        )

    return ClusterStatus(
        settings.topics.consumer_group,
        members,
        sum(left[one].count for one in by_topic.get(source, [])),
        [status(id_, topic) for id_, topic in topics.items()],
    )


async def _published_at(consumer: AIOKafkaConsumer, spans: Spans) -> dict[TopicPartition, int]:
    """When the first record of each span was published in the source, in ms since the epoch.

    A span may hold none: offsets of transaction markers, and of what was deleted.
    """
    if not spans:
        return {}
    consumer.assign(list(spans))
    for one, (offset, _) in spans.items():
        consumer.seek(one, offset)
    found: dict[TopicPartition, int] = {}
    left = set(spans)

    async def read() -> None:
        nonlocal left
        while left:
            for one, records in (await poll(consumer, *left, timeout_ms=POLL_MS)).items():
                source = read_origin(records[0].headers).source
                has_time = source is not None and source.timestamp_ms > 0
                found[one] = source.timestamp_ms if source and has_time else records[0].timestamp
                consumer.pause(one)
            left = {
                one
                for one in left
                if one not in found and await consumer.position(one) < max(spans[one][1], spans[one][0] + 1)
            }

    await within(ANSWER_SECONDS, read())
    return found


def _highwater(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
    return (consumer.highwater(partition) or 0) if partition in consumer.assignment() else 0


async def _dead_letters(
    settings: Settings, by_topic: Mapping[str, list[TopicPartition]]
) -> Counter[DestinationId] | None:
    """How many wait, counted as the workers' metric counts them."""
    count = LetterCount()
    async with consumer_client(settings) as consumer:
        spans = await whole_spans(consumer, by_topic.get(settings.topics.dead_letter, []))
        if sum(end - begin for begin, end in spans.values()) > MAX_DEAD_LETTER_RECORDS:
            return None
        async for record in scan(consumer, spans):
            headers = list(record.headers)
            count.add(TopicRecord(record.offset, record.key, None, headers, record.partition))
    return count.by_destination()


async def _members(settings: Settings) -> list[Member] | None:
    """The workers, as the group's coordinator knows them. The embedded broker's answer cannot be read."""
    group = settings.topics.consumer_group
    try:
        async with admin_client(settings) as admin:
            described = await within(ANSWER_SECONDS, describe_group(admin, group))
    except (KafkaError, asyncio.TimeoutError):
        return None
    return [Member(one["client_id"], one["client_host"].lstrip("/")) for one in described["members"]]
