"""What Kafka told, judged: brokers, topics and partitions as planned, the group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition

from eventproc.delivery.kafka_access import LetIn, Refused, Unreachable
from eventproc.delivery.topics import SAFE_REPLICATION, TopicPlan, plan_topics
from eventproc.doctor.findings import Check, ok, problem, skipped, warning
from eventproc.doctor.group_record import judge_group_record
from eventproc.doctor.kafka_facts import KafkaFacts, TopicFacts
from eventproc.group_topics import FOREIGN_HINT
from eventproc.times import span
from settings import Settings

KAFKA: Final = "kafka"
_FIRST_START: Final = 'see "The first start" in docs/operations.md before you start a worker'
_METADATA_BYTES: Final = 4096
_OFFSETS_MINUTES: Final = 7 * 24 * 60


def judge_kafka(facts: KafkaFacts, settings: Settings, plans: Sequence[TopicPlan]) -> list[Check]:
    """Every check of Kafka."""
    checks = list(_servers(facts))
    if not facts.is_open:
        return checks
    if facts.problem is not None:
        wrong = f"a broker answers, and what it has could not be asked: {facts.problem}"
        return [*checks, problem(KAFKA, "cluster", wrong, "look at the rights (ACL) of this user")]
    checks += _cluster(facts, settings)
    for plan in plans:
        checks += _topic(plan, facts, settings)
    checks += _left_behind(facts)
    checks += _group(facts, settings)
    return checks + list(_group_record(facts, settings, plans))


def _servers(facts: KafkaFacts) -> Iterator[Check]:
    for server, access in facts.servers.items():
        match access:
            case LetIn():
                yield ok(server, "broker", "answers")
            case Refused(problem=wrong):
                way_out = "no waiting helps: change what the answer names, here or at the broker"
                yield problem(server, "broker", wrong, way_out)
            case Unreachable(problem=wrong):
                way_out = "check events.queue.kafka.bootstrap_server, and the network between"
                if facts.is_open:
                    yield warning(server, "broker", wrong, f"others answer; {way_out}")
                else:
                    yield problem(server, "broker", wrong, way_out)


def _cluster(facts: KafkaFacts, settings: Settings) -> Iterator[Check]:
    wanted = settings.topics.replication_factor
    if wanted is not None and wanted > facts.brokers:
        what = f"topics.replication_factor is {wanted}, and there are {facts.brokers} brokers"
        yield problem(KAFKA, "replication", what, "set it to the number of brokers or less, or add brokers")
    elif facts.brokers < SAFE_REPLICATION:
        what = f"{facts.brokers} broker{'s'[: facts.brokers != 1]}: their disks are the only copies"
        yield warning(KAFKA, "replication", what, "have three brokers where money moves")
    else:
        yield ok(KAFKA, "replication", f"{facts.brokers} brokers")
    if facts.producer_problem is None:
        yield ok(KAFKA, "idempotent producer", "may be used")
    else:
        what = f"is not to be had: {facts.producer_problem}"
        yield warning(
            KAFKA,
            "idempotent producer",
            what,
            "give this user the right IdempotentWrite: a retry can write twice without",
        )
    if not facts.broker_configs:
        yield skipped(KAFKA, "broker settings", "this broker, or its ACL, does not tell them")
    for id_, configs in facts.broker_configs.items():
        yield from _broker(f"broker {id_}", configs)


def _broker(subject: str, configs: Mapping[str, str]) -> Iterator[Check]:
    metadata_bytes = _number(configs.get("offset.metadata.max.bytes"))
    minutes = _number(configs.get("offsets.retention.minutes"))
    if metadata_bytes is not None and metadata_bytes < _METADATA_BYTES:
        what = f"offset.metadata.max.bytes is {metadata_bytes}: large commits are refused"
        yield warning(subject, "broker settings", what, f"set it to {_METADATA_BYTES} or more")
    elif minutes is not None and minutes < _OFFSETS_MINUTES:
        what = f"offsets.retention.minutes is {minutes}: after {span(minutes * 60)} at rest all comes again"
        yield warning(subject, "broker settings", what, "make it longer than you will ever stand still")
    else:
        yield ok(subject, "broker settings", "room for commit metadata, offsets are kept long enough")


def _topic(plan: TopicPlan, facts: KafkaFacts, settings: Settings) -> Iterator[Check]:
    found, is_source = facts.topics.get(plan.name), plan.name == settings.topics.source
    if found is None:
        if is_source:
            what = "is not there; a worker would make it with one partition"
            yield warning(
                plan.name, "topic", what, "is topics.source right? Else make it as the anchor needs it"
            )
        else:
            yield ok(plan.name, "topic", "is not there yet; the next worker makes it")
        return
    if found.problem is not None:
        yield problem(plan.name, "topic", found.problem, "give this user Describe and Read on it")
        return
    troubles = [
        *_partitions(plan, found, is_source=is_source),
        *_copies(plan, found),
        *_limits(plan, found, settings, is_source=is_source),
    ]
    yield from troubles or [ok(plan.name, "topic", f"partitions {found.partitions}, copies {found.replicas}")]
    if found.configs is None:
        yield skipped(plan.name, "topic settings", "this broker, or its ACL, does not tell them")


def _partitions(plan: TopicPlan, found: TopicFacts, *, is_source: bool) -> Iterator[Check]:
    if found.leaderless:
        what = f"{found.leaderless} of {found.partitions} partitions have no leader: nothing moves there"
        yield problem(plan.name, "partitions", what, "look at the brokers that hold them")
    if not is_source and found.partitions != plan.partitions:
        what = f"{found.partitions} partitions, planned {plan.partitions}"
        more = plan.partitions > found.partitions
        way_out = (
            'see "More partitions" in docs/operations.md'
            if more
            else "set topics.partitions to what is there"
        )
        yield warning(plan.name, "partitions", what, way_out)


def _copies(plan: TopicPlan, found: TopicFacts) -> Iterator[Check]:
    if found.under_replicated:
        what = f"{found.under_replicated} of {found.partitions} partitions miss a copy in sync"
        yield warning(plan.name, "replication", what, "look at the brokers: one is away or behind")
    least = _number((found.configs or {}).get("min.insync.replicas"))
    if least is not None and least > found.replicas:
        what = f"min.insync.replicas is {least}, and there are {found.replicas} copies: no write succeeds"
        yield problem(plan.name, "replication", what, "lower it, or add copies")
    elif least == 1 and found.replicas > 1:
        what = (
            f"min.insync.replicas is 1 of {found.replicas} copies: an acknowledged record may be on one alone"
        )
        yield warning(plan.name, "replication", what, "set it to 2")
    if (found.configs or {}).get("unclean.leader.election.enable") == "true":
        what = "unclean.leader.election.enable is true: the partition may go back in time"
        yield warning(plan.name, "replication", what, "set it to false")


def _limits(plan: TopicPlan, found: TopicFacts, settings: Settings, *, is_source: bool) -> Iterator[Check]:
    configs, limit = found.configs or {}, settings.topics.max_message_bytes
    largest = _number(configs.get("max.message.bytes"))
    if largest is not None and is_source and largest > limit:
        what = f"takes records of {largest} bytes; above {limit} (topics.max_message_bytes) none is delivered"
        yield warning(
            plan.name, "max.message.bytes", what, "raise topics.max_message_bytes, or lower the topic's"
        )
    elif largest is not None and not is_source and largest < limit:
        what = (
            f"takes {largest} bytes, topics.max_message_bytes lets {limit} pass: a worker ends at the first"
        )
        yield problem(
            plan.name, "max.message.bytes", what, f"raise it on the topic to {limit + 64 * 1024} or more"
        )
    policy = configs.get("cleanup.policy")
    if policy is not None and (("compact" in policy) != plan.compacted) and not is_source:
        planned = "compact" if plan.compacted else "delete"
        what = f"cleanup.policy is {policy}, planned {planned}: records get lost"
        yield problem(plan.name, "retention", what, "set it by kafka-configs.sh")
    if not plan.compacted and not is_source:
        yield from _retention(plan, configs.get("retention.ms"), configs.get("retention.bytes"))


def _retention(plan: TopicPlan, milliseconds: str | None, size: str | None) -> Iterator[Check]:
    found, limit = _number(milliseconds), _number(size)
    planned = -1 if plan.retention_ms is None else plan.retention_ms
    if limit is not None and limit >= 0:
        what = f"retention.bytes is {limit}: what waits longer than that lasts is gone"
        yield warning(plan.name, "retention", what, "set it to -1 by kafka-configs.sh")
    if found is not None and found != planned:
        what = f"keeps records {_kept(found)}, planned {_kept(planned)}"
        yield warning(plan.name, "retention", what, "set retention.ms by kafka-configs.sh, or topics.*_hours")


def _left_behind(facts: KafkaFacts) -> Iterator[Check]:
    if facts.left_behind is None:
        yield skipped(KAFKA, "topics of others", "whether events wait for who is not configured is not told")
    for one in facts.left_behind or ():
        yield warning(
            one.topic,
            "topic",
            f"is of no destination that is configured here: {one}",
            'configure it again, or delete the topic: see "What goes" in docs/operations.md',
        )


def _group(facts: KafkaFacts, settings: Settings) -> Iterator[Check]:
    group = f"group {settings.topics.consumer_group}"
    if facts.group_problem is not None:
        yield problem(group, "group", facts.group_problem, "give this user Read on the group")
        return
    for member in facts.foreign_members:
        yield warning(group, "members", member, FOREIGN_HINT)
    if facts.members is None:
        yield skipped(group, "workers", "the broker does not tell them")
    elif facts.members == 0:
        yield warning(
            group, "workers", "none is running: nothing is delivered", "start one: eventproc worker"
        )
    else:
        yield ok(group, "workers", f"{facts.members} running")
    source = [at for one, at in facts.positions.items() if one.topic == settings.topics.source]
    committed = [at for at in source if at.committed is not None]
    if source and not committed and any(at.end > at.begin for at in source):
        waiting = sum(at.end - at.begin for at in source)
        what = f"has no offsets in {settings.topics.source}: a worker would deliver all its {waiting} records"
        yield warning(group, "offsets", what, _FIRST_START)
    elif committed:
        yield ok(group, "offsets", f"known for {len(committed)} of {len(source)} source partitions")
    yield from _lost(facts, group)
    for one, batch in facts.stopped.items():
        what = f"stands still at offset {batch.offset}: {batch.problem}"
        way_out = f"see EventprocPartitionStopped in docs/operations.md, and offsets skip {_place(one)}"
        yield problem(_place(one), "records", what, way_out)


def _group_record(facts: KafkaFacts, settings: Settings, plans: Sequence[TopicPlan]) -> Iterator[Check]:
    topics = settings.topics
    unread = {plan.name for plan in plan_topics(settings, [])} - {topics.source}
    there = {name: found.partitions for name, found in facts.topics.items()}
    read = {plan.name: there.get(plan.name, plan.partitions) for plan in plans if plan.name not in unread}
    yield from judge_group_record(
        f"group {topics.consumer_group}",
        facts.members or 0,
        read,
        settings.consumer.group_record_max_bytes,
        _number(facts.groups_configs.get("max.message.bytes")),
    )


def _lost(facts: KafkaFacts, group: str) -> Iterator[Check]:
    for one, at in facts.positions.items():
        name = f"{one.topic} {one.partition}"
        if at.lost.count:
            what = f"{name}: {at.lost.count} records expired before they were delivered, the first at offset"
            yield problem(
                group,
                "offsets",
                f"{what} {at.lost.first_offset}",
                "lengthen retention.ms; see EventprocEventsExpired in docs/operations.md",
            )
        if at.committed is None or at.committed <= at.end:
            continue
        if facts.broker_configs:  # else it may be the embedded broker, whose ends are before its last batch
            what = f"{name}: the committed offset {at.committed} is beyond the end {at.end}"
            yield warning(
                group, "offsets", what, "the topic was truncated or created again; see partition.truncated"
            )


def _place(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"


def _kept(milliseconds: int) -> str:
    return "for ever" if milliseconds < 0 else span(milliseconds / 1000)


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
