"""Asks Kafka for what the checks look at. Nothing is judged here, and nothing is changed in Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from eventproc.delivery.assignor import subscription_of
from eventproc.delivery.bounded_kafka import (
    POLL_MS,
    admin_client,
    committed_offsets,
    consumer_client,
    describe_group,
    span_client,
    whole_spans,
    within,
)
from eventproc.delivery.fetch_refusals import is_readable
from eventproc.delivery.kafka_access import Access, LetIn, Unreachable, ask_for_access
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.left_behind import find_left_behind
from eventproc.delivery.record_batches import UnreadableBatch, next_to_read, unreadable_batches
from eventproc.errors import EventprocError
from eventproc.group_progress import LeftBehind, Remaining, remaining
from eventproc.group_topics import GroupTopics
from settings import Settings

TOPIC_CONFIGS: Final = (
    *("max.message.bytes", "retention.ms", "retention.bytes", "cleanup.policy"),
    *("min.insync.replicas", "unclean.leader.election.enable"),
)
GROUPS_TOPIC: Final = "__consumer_offsets"
BROKER_CONFIGS: Final = ("offset.metadata.max.bytes", "offsets.retention.minutes")

FETCH_BYTES: Final = 64 * 1024
"""Of each partition only the next batch is looked at; Kafka gives a larger one all the same."""

_TROUBLES: Final = (KafkaError, OSError, ValueError, EventprocError, asyncio.TimeoutError)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One topic; ``replicas`` is that of its partition with the fewest, ``configs`` None when not told."""

    partitions: int
    replicas: int
    leaderless: int = 0
    under_replicated: int = 0
    configs: Mapping[str, str] | None = None
    problem: str | None = None


NOTHING_LOST: Final = Remaining(0, None)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition begins and ends, the group's committed offset, and what expired undone."""

    begin: int
    end: int
    committed: int | None
    lost: Remaining = NOTHING_LOST


@dataclass(frozen=True, slots=True)
class KafkaFacts:
    """What Kafka told. Without an answer of any broker only ``servers`` is filled."""

    servers: Mapping[str, Access]
    brokers: int = 0
    broker_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    positions: Mapping[TopicPartition, Position] = field(default_factory=dict)
    left_behind: Sequence[LeftBehind] | None = ()
    stopped: Mapping[TopicPartition, UnreadableBatch] = field(default_factory=dict)
    """Partitions that the group cannot read on, and the batch."""
    members: int | None = None
    groups_configs: Mapping[str, str] = field(default_factory=dict)
    """Of the topic in which Kafka keeps groups; nothing when not told."""
    foreign_members: Sequence[str] = ()
    """Members of the group that are no workers of this deployment, and why."""
    group_problem: str | None = None
    producer_problem: str | None = None
    problem: str | None = None
    """Why the rest is not known although a broker answers."""

    @property
    def is_open(self) -> bool:
        """Whether a broker lets us in."""
        return any(isinstance(access, LetIn) for access in self.servers.values())

    @property
    def is_away(self) -> bool:
        """Whether no broker answers, not even by a refusal."""
        return all(isinstance(access, Unreachable) for access in self.servers.values())


async def ask_kafka(settings: Settings, topics: Collection[str], timeout_seconds: float) -> KafkaFacts:
    """Everything about the cluster, these topics and the group; troubles are part of the answer."""
    servers = settings.events.queue.kafka.bootstrap_servers
    answers = await asyncio.gather(*(ask_for_access(_with_server(settings, one)) for one in servers))
    facts = KafkaFacts(dict(zip(servers, answers, strict=True)))
    if not facts.is_open:
        return facts
    try:
        return await asyncio.wait_for(_ask(settings, topics, facts, timeout_seconds), timeout_seconds * 6)
    except _TROUBLES as error:
        return KafkaFacts(facts.servers, problem=_said(error))


def _with_server(settings: Settings, server: str) -> Settings:
    """The same with this one server."""
    kafka = settings.events.queue.kafka.model_copy(update={"bootstrap_server": server})
    queue = settings.events.queue.model_copy(update={"kafka": kafka})
    return settings.model_copy(update={"events": settings.events.model_copy(update={"queue": queue})})


async def _ask(
    settings: Settings, topics: Collection[str], facts: KafkaFacts, timeout_seconds: float
) -> KafkaFacts:
    async with admin_client(settings) as admin:
        cluster = await within(timeout_seconds, admin.describe_cluster())
        described = {one["topic"]: one for one in await within(timeout_seconds, admin.describe_topics(None))}
        there = [name for name in topics if name in described]
        asked = (*topics, GROUPS_TOPIC)
        configs = await _topic_configs(admin, (one for one in asked if one in described), timeout_seconds)
        ids = [str(broker["node_id"]) for broker in cluster["brokers"]]
        broker_configs = await _broker_configs(admin, ids, timeout_seconds)
        members, foreign, group_problem = await _group(admin, settings, timeout_seconds)
    found = {name: _topic_facts(described[name], configs.get(name)) for name in there}
    positions: Mapping[TopicPartition, Position] = {}
    left_behind: Sequence[LeftBehind] | None = ()
    if group_problem is None:
        left_behind = await find_left_behind(settings, topics)
        partitions = [
            TopicPartition(name, part["partition"])
            for name in there
            for part in described[name]["partitions"]
        ]
        positions = await _positions(settings, partitions)
    return KafkaFacts(
        facts.servers,
        len(ids),
        broker_configs,
        found,
        positions,
        left_behind,
        await _stopped(settings, positions, timeout_seconds),
        members,
        configs.get(GROUPS_TOPIC, {}),
        foreign,
        group_problem,
        await _producer_problem(settings, timeout_seconds),
    )


def _topic_facts(described: Any, configs: Mapping[str, str] | None) -> TopicFacts:
    parts = described["partitions"]
    error = for_code(described["error_code"]).__name__ if described["error_code"] else None
    return TopicFacts(
        len(parts),
        min((len(part["replicas"]) for part in parts), default=0),
        sum(part["leader"] < 0 for part in parts),
        sum(len(part["isr"]) < len(part["replicas"]) for part in parts),
        configs,
        error,
    )


async def _topic_configs(
    admin: AIOKafkaAdminClient, names: Iterable[str], timeout_seconds: float
) -> Mapping[str, Mapping[str, str]]:
    wanted = dict.fromkeys(TOPIC_CONFIGS)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
    return await _configs(admin, resources, timeout_seconds)


async def _broker_configs(
    admin: AIOKafkaAdminClient, ids: Iterable[str], timeout_seconds: float
) -> Mapping[str, Mapping[str, str]]:
    wanted = dict.fromkeys(BROKER_CONFIGS)
    resources = [ConfigResource(ConfigResourceType.BROKER, id_, wanted) for id_ in ids]
    return await _configs(admin, resources, timeout_seconds)


async def _configs(
    admin: AIOKafkaAdminClient, resources: list[ConfigResource], timeout_seconds: float
) -> Mapping[str, Mapping[str, str]]:
    """Name to its settings; nothing where one may not ask. The embedded broker hangs up at the question."""
    if not resources:
        return {}
    try:
        answers = await within(timeout_seconds, admin.describe_configs(resources))
    except _TROUBLES:
        return {}
    return {
        resource["resource_name"]: {
            entry["config_names"]: entry["config_value"] or "" for entry in resource["config_entries"]
        }
        for answer in answers
        for resource in answer.to_object()["resources"]
        if not resource["error_code"]
    }


async def _group(
    admin: AIOKafkaAdminClient, settings: Settings, timeout_seconds: float
) -> tuple[int | None, Sequence[str], str | None]:
    """How many workers it has, None when that is not told; who else is in it; and why it may not be used."""
    try:
        described = await within(timeout_seconds, describe_group(admin, settings.topics.consumer_group))
    except _TROUBLES as error:
        # The embedded broker's answer cannot be read when there are members.
        return None, (), _said(error) if isinstance(error, KafkaError) and _is_refusal(error) else None
    if described["error_code"]:
        return None, (), for_code(described["error_code"]).__name__
    members = described["members"]
    ours = GroupTopics(settings.topics.source, settings.topics.prefix)
    told = ((one, _strange(ours, one["member_metadata"])) for one in members)
    foreign = [f"{one['client_id']} at {one['client_host'].lstrip('/')} {why}" for one, why in told if why]
    return len(members) - len(foreign), foreign, None


def _strange(ours: GroupTopics, metadata: bytes) -> str | None:
    subscribed = subscription_of(metadata)
    return "is no consumer of topics" if subscribed is None else ours.strange_in(subscribed)


async def _positions(
    settings: Settings, partitions: list[TopicPartition]
) -> Mapping[TopicPartition, Position]:
    async with admin_client(settings) as admin:
        committed = await committed_offsets(admin, settings.topics.consumer_group, partitions)
    async with span_client(settings) as consumer:
        spans = await whole_spans(consumer, partitions)
    return {
        one: _position(*spans[one], *committed.get(one, (None, ""))) for one in partitions if one in spans
    }


def _position(begin: int, end: int, committed: int | None, metadata: str) -> Position:
    if committed is None or committed >= begin:
        return Position(begin, end, committed)
    return Position(begin, end, committed, remaining(0, begin, committed, metadata))


async def _stopped(
    settings: Settings, positions: Mapping[TopicPartition, Position], timeout_seconds: float
) -> Mapping[TopicPartition, UnreadableBatch]:
    """What cannot be read, as far as the next batches of the group within the bound show it."""
    starts = {
        one: max(at.begin, at.committed or 0)
        for one, at in positions.items()
        if at.committed is not None or one.topic == settings.topics.source
    }
    left = {one for one, start in starts.items() if start < positions[one].end}
    if not left:
        return {}
    async with consumer_client(settings, max_partition_fetch_bytes=FETCH_BYTES) as consumer:
        consumer.assign(list(left))
        for one in left:
            consumer.seek(one, starts[one])
        deadline = time.monotonic() + timeout_seconds
        while left and time.monotonic() < deadline:
            await consumer.getmany(*left, timeout_ms=POLL_MS)
            left -= unreadable_batches(consumer).keys()
            left -= {one for one in left if next_to_read(consumer, one) != starts[one]}
        stopped = dict(unreadable_batches(consumer))
        for one in sorted(left - stopped.keys()):
            if time.monotonic() > deadline + timeout_seconds:
                break
            with contextlib.suppress(KafkaError):
                if not await is_readable(consumer, one, starts[one]):
                    what = "the broker returns no records for this offset"
                    stopped[one] = UnreadableBatch(starts[one], None, what, b"")
        return stopped


async def _producer_problem(settings: Settings, timeout_seconds: float) -> str | None:
    """Why no idempotent producer is to be had: a right that is missing, or a broker that knows none."""
    producer = AIOKafkaProducer(**connection_options(settings), enable_idempotence=True)
    try:
        await within(timeout_seconds, producer.start())
    except _TROUBLES as error:
        return _said(error)
    finally:
        with contextlib.suppress(*_TROUBLES):
            await within(timeout_seconds, producer.stop())
    return None


def _is_refusal(error: KafkaError) -> bool:
    return "Authorization" in type(error).__name__


def _said(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    return (str(error) or type(error).__name__)[:300]
