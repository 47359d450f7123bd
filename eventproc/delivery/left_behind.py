"""Events of destinations that are configured no longer: they wait in their topics, and nobody delivers them.

A worker that is told of a new configuration delivers what a removed client still has to get. One that starts
with it, as after a rollout, does not know that client: only Kafka does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import structlog
from aiokafka import TopicPartition

from eventproc.delivery.bounded_kafka import (
    Spans,
    admin_client,
    all_partitions,
    as_unavailable,
    committed_offsets,
    remaining_of,
    span_client,
    whole_spans,
)
from eventproc.errors import BrokerUnavailableError
from eventproc.group_progress import LeftBehind
from settings import Settings
from settings.topic_names import is_destination_topic

log = structlog.stdlib.get_logger("eventproc")

ANSWER_SECONDS: Final = 5.0


async def find_left_behind(settings: Settings, configured: Collection[str]) -> list[LeftBehind] | None:
    """The topics of destinations that are not among ``configured`` topics, where events wait; by name.

    None where Kafka does not tell it soon: a topic that is just being deleted must not be in the way of what
    else there is to do.
    """
    try:
        return await asyncio.wait_for(_read(settings, configured), ANSWER_SECONDS)
    except (BrokerUnavailableError, asyncio.TimeoutError) as error:
        log.debug("destination.left_behind_not_known", problem=str(error) or "no answer in time")
        return None


async def warn_of_left_behind(settings: Settings, configured: Collection[str]) -> None:
    """At a start: say what this worker will not deliver."""
    for one in await find_left_behind(settings, configured) or ():
        log.warning("destination.not_configured", topic=one.topic, waiting=one.waiting, exact=one.is_exact)


async def _read(settings: Settings, configured: Collection[str]) -> list[LeftBehind]:
    with as_unavailable(settings):
        async with admin_client(settings) as admin:
            by_topic = await all_partitions(admin)
            left = sorted(
                name
                for name in by_topic
                if name not in configured and is_destination_topic(settings.topics.prefix, name)
            )
            partitions = [one for name in left for one in by_topic[name]]
            committed = await committed_offsets(admin, settings.topics.consumer_group, partitions)
        if not left:
            return []
        async with span_client(settings) as consumer:
            spans = await whole_spans(consumer, partitions)
    found = [_left_behind(name, by_topic[name], spans, committed) for name in left]
    return [one for one in found if one.waiting]


def _left_behind(
    topic: str,
    partitions: Sequence[TopicPartition],
    spans: Spans,
    committed: Mapping[TopicPartition, tuple[int, str]],
) -> LeftBehind:
    waiting = sum(remaining_of(one, spans, committed).count for one in partitions)
    return LeftBehind(topic, waiting, any(one in committed for one in partitions))
