"""Declares our topics: by name, with partitions, replication and retention from the settings."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.topics_just_made import topics_just_made
from eventproc.errors import EventprocError
from eventproc.record_limits import HEADROOM_BYTES
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

SAFE_REPLICATION: Final = 3
DECLARE_AT_ONCE: Final = 200
KNOWN_SECONDS: Final = 30.0
KNOWN_POLL_SECONDS: Final = 0.2


class TopicError(EventprocError):
    """Kafka would not make a topic that this worker needs."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic to be there; ``retention_ms`` None keeps records for ever."""

    name: str
    partitions: int
    retention_ms: int | None = None
    compacted: bool = False


def plan_topics(settings: Settings, destination_topics: list[str]) -> list[TopicPlan]:
    """Every topic that this configuration needs, the anchor's own included, in case it is not there yet."""
    topics = settings.topics
    return [
        # The anchor's own, in case it is not there yet. It is keyed by event id: several partitions would
        # break the order of a transaction's events before we ever see them.
        TopicPlan(topics.source, 1),
        TopicPlan(topics.invalid, 1, _milliseconds(topics.invalid_retention_hours)),
        TopicPlan(topics.dead_letter, 1, _milliseconds(topics.dead_letter_retention_hours)),
        TopicPlan(topics.customers, 1, compacted=True),
        control_plan(settings),
        TopicPlan(topics.acceptances, 1, compacted=True),
        *(
            TopicPlan(name, topics.partitions, _milliseconds(topics.retention_hours))
            for name in destination_topics
        ),
        *_journal_topic(settings),
        *_shadow_topic(settings),
    ]


def _journal_topic(settings: Settings) -> list[TopicPlan]:
    timeline = settings.timeline
    if not timeline.enabled:
        return []
    return [TopicPlan(settings.topics.attempts, timeline.partitions, _milliseconds(timeline.retention_hours))]


def _shadow_topic(settings: Settings) -> list[TopicPlan]:
    delivery = settings.delivery
    if delivery.mode != "shadow":
        return []
    retention = _milliseconds(delivery.shadow.retention_hours)
    return [TopicPlan(settings.topics.requests, settings.topics.partitions, retention)]


def control_plan(settings: Settings) -> TopicPlan:
    """The topic of what an operator has paused: a command may need it before any worker was there."""
    return TopicPlan(settings.topics.control, 1, compacted=True)


async def list_topics(settings: Settings) -> set[str]:
    """The names of all topics that this worker may see."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    try:
        await admin.start()
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def declare_topics(settings: Settings, plans: list[TopicPlan]) -> list[str]:
    """Make the topics that are not there; returns their names.

    Raises:
        TopicError: Kafka refused one.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [plan for plan in plans if plan.name not in existing]
        topics_just_made.expect(plan.name for plan in missing)
        replication = settings.topics.replication_factor or await _default_replication(admin)
        for start in range(0, len(missing), DECLARE_AT_ONCE):
            chunk = missing[start : start + DECLARE_AT_ONCE]
            new = [_new_topic(plan, replication, settings.topics.max_message_bytes) for plan in chunk]
            response = await admin.create_topics(new)
            _raise_for_errors(response)
        if missing:
            await _wait_until_known(admin, [plan.name for plan in missing])
    except TopicAlreadyExistsError:
        pass
    except KafkaError as error:
        raise TopicError(f"topics could not be declared: {error}") from error
    finally:
        await admin.close()
    names = [plan.name for plan in missing]
    if names:
        log.info("topics.declared", count=len(names), replication=replication, first=names[:5])
    return names


async def _wait_until_known(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """A broker says yes before the topics have leaders; a consumer would complain of each meanwhile."""
    deadline = time.monotonic() + KNOWN_SECONDS
    while True:
        found = await admin.describe_topics(names)
        names = [topic["topic"] for topic in found if not _has_leaders(topic)]
        if not names or time.monotonic() > deadline:
            return  # the consumer goes on looking, see ``MissingTopics``
        await asyncio.sleep(KNOWN_POLL_SECONDS)


def _has_leaders(topic: dict[str, Any]) -> bool:
    return not topic["error_code"] and all(one["leader"] >= 0 for one in topic["partitions"])


async def _default_replication(admin: AIOKafkaAdminClient) -> int:
    cluster = await admin.describe_cluster()
    return SAFE_REPLICATION if len(cluster["brokers"]) >= SAFE_REPLICATION else 1


def _new_topic(plan: TopicPlan, replication: int, max_message_bytes: int) -> NewTopic:
    configs = {"max.message.bytes": str(max_message_bytes + HEADROOM_BYTES)}
    if plan.compacted:
        configs["cleanup.policy"] = "compact"
    else:
        configs["retention.ms"] = str(-1 if plan.retention_ms is None else plan.retention_ms)
    return NewTopic(plan.name, plan.partitions, replication, topic_configs=configs)


def _raise_for_errors(response: object) -> None:
    for topic, code, *message in response.topic_errors:  # type: ignore[attr-defined]
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise TopicError(f"topic {topic}: {error.__name__} {message[0] if message else ''}")


def _milliseconds(hours: float | None) -> int | None:
    return None if hours is None else int(hours * 3_600_000)
