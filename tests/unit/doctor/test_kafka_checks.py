"""What Kafka told, judged: each finding on facts that bring it about, and none on those of a sound cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition

from eventproc.delivery.kafka_access import LetIn, Refused, Unreachable
from eventproc.delivery.topics import TopicPlan, plan_topics
from eventproc.doctor.findings import Check, State
from eventproc.doctor.kafka_checks import judge_kafka
from eventproc.doctor.kafka_facts import KafkaFacts, Position, TopicFacts
from eventproc.group_progress import LeftBehind, Remaining
from settings import Settings, load_settings

OPEN = LetIn(frozenset())
LIMIT = 8 * 1024 * 1024
SINK = "eventproc.callback-api"


def configs(**changes: str) -> dict[str, str]:
    usual = {
        "max.message.bytes": str(LIMIT + 64 * 1024),
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "cleanup.policy": "delete",
        "min.insync.replicas": "2",
        "unclean.leader.election.enable": "false",
    }
    return usual | {name.replace("_", "."): value for name, value in changes.items()}


SETTINGS = load_settings(env={"EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": "a:9092,b:9092"})
PLANS = plan_topics(SETTINGS, [SINK])


def topic(plan: TopicPlan) -> TopicFacts:
    retention = {} if plan.retention_ms is None else {"retention_ms": str(plan.retention_ms)}
    policy = {"cleanup_policy": "compact"} if plan.compacted else {}
    found = configs(**retention, **policy)
    if plan.name == "TRANSACTION":
        found["max.message.bytes"] = "1048588"
        found["retention.ms"] = "604800000"
    return TopicFacts(plan.partitions, 3, configs=found)


SOUND = KafkaFacts(
    servers={"a:9092": OPEN, "b:9092": OPEN},
    brokers=3,
    broker_configs={"1": {"offset.metadata.max.bytes": "4096", "offsets.retention.minutes": "10080"}},
    topics={plan.name: topic(plan) for plan in PLANS},
    positions={TopicPartition("TRANSACTION", 0): Position(0, 100, 90)},
    members=2,
)


def judged(facts: KafkaFacts, settings: Settings = SETTINGS) -> list[Check]:
    return judge_kafka(facts, settings, plan_topics(settings, [SINK]))


def trouble(facts: KafkaFacts, settings: Settings = SETTINGS) -> Check:
    """The one check that is not ok."""
    (found,) = [check for check in judged(facts, settings) if check.state is not State.OK]
    assert found.way_out or found.state is State.SKIPPED
    return found


def with_topic(name: str, **changes: Any) -> KafkaFacts:
    return replace(SOUND, topics={**SOUND.topics, name: replace(SOUND.topics[name], **changes)})


def with_configs(name: str, changes: Mapping[str, str]) -> KafkaFacts:
    return with_topic(name, configs={**(SOUND.topics[name].configs or {}), **changes})


def test_a_sound_cluster_has_no_trouble() -> None:
    checks = judged(SOUND)
    assert {check.state for check in checks} == {State.OK}
    assert {plan.name for plan in PLANS} <= {check.subject for check in checks}


def test_events_of_a_destination_that_is_configured_no_longer_are_a_warning() -> None:
    left = LeftBehind("eventproc.client.gone.sep24", 30, True)
    found = trouble(replace(SOUND, left_behind=[left]))
    assert (found.subject, found.state) == ("eventproc.client.gone.sep24", State.WARNING)
    assert found.what == "is of no destination that is configured here: 30 events wait"

    forgotten = trouble(replace(SOUND, left_behind=[replace(left, waiting=1, is_exact=False)]))
    assert forgotten.what.endswith("1 event waits, or were delivered before Kafka forgot the offsets")
    assert trouble(replace(SOUND, left_behind=None)).state is State.SKIPPED


def test_one_server_away_is_a_warning_and_all_a_problem() -> None:
    one = trouble(replace(SOUND, servers={"a:9092": OPEN, "b:9092": Unreachable("no answer")}))
    assert (one.subject, one.state) == ("b:9092", State.WARNING)
    away = KafkaFacts({"a:9092": Unreachable("no answer"), "b:9092": Unreachable("no answer")})
    assert away.is_away
    assert [(check.subject, check.state) for check in judged(away)] == [
        ("a:9092", State.PROBLEM),
        ("b:9092", State.PROBLEM),
    ]


def test_a_refusal_is_a_problem_and_not_a_broker_that_is_away() -> None:
    facts = KafkaFacts(
        {"a:9092": Refused("user name or password is wrong"), "b:9092": Unreachable("no answer")}
    )
    assert not facts.is_away
    refused, away = judged(facts)
    assert (refused.state, refused.what) == (State.PROBLEM, "user name or password is wrong")
    assert away.state is State.PROBLEM


def test_a_cluster_that_may_not_be_asked_is_a_problem() -> None:
    found = trouble(KafkaFacts({"a:9092": OPEN}, problem="ClusterAuthorizationFailedError"))
    assert (found.name, found.state) == ("cluster", State.PROBLEM)


def test_a_topic_that_is_not_there_yet_is_no_trouble_unless_it_is_the_source() -> None:
    without = replace(SOUND, topics={"TRANSACTION": SOUND.topics["TRANSACTION"]})
    assert {check.state for check in judged(without)} == {State.OK}
    no_source = replace(
        SOUND, topics={name: one for name, one in SOUND.topics.items() if name != "TRANSACTION"}
    )
    found = trouble(no_source)
    assert (found.subject, found.state) == ("TRANSACTION", State.WARNING)


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        (replace(SOUND, brokers=2), State.WARNING, "2 brokers: their disks are the only copies"),
        (replace(SOUND, producer_problem="no right"), State.WARNING, "is not to be had: no right"),
        (replace(SOUND, broker_configs={}), State.SKIPPED, "does not tell"),
        (
            replace(SOUND, broker_configs={"1": {"offset.metadata.max.bytes": "1024"}}),
            State.WARNING,
            "offset.metadata.max.bytes is 1024",
        ),
        (
            replace(SOUND, broker_configs={"1": {"offsets.retention.minutes": "60"}}),
            State.WARNING,
            "after 1h at rest all comes again",
        ),
        (with_topic(SINK, problem="TopicAuthorizationFailedError"), State.PROBLEM, "TopicAuthorization"),
        (with_topic(SINK, leaderless=1), State.PROBLEM, "1 of 8 partitions have no leader"),
        (with_topic(SINK, partitions=4), State.WARNING, "4 partitions, planned 8"),
        (with_topic(SINK, under_replicated=2), State.WARNING, "2 of 8 partitions miss a copy in sync"),
        (with_topic(SINK, configs=None), State.SKIPPED, "does not tell"),
        (with_topic(SINK, replicas=1), State.PROBLEM, "min.insync.replicas is 2, and there are 1 copies"),
        (with_configs(SINK, {"min.insync.replicas": "1"}), State.WARNING, "min.insync.replicas is 1 of 3"),
        (with_configs(SINK, {"unclean.leader.election.enable": "true"}), State.WARNING, "go back in time"),
        (with_configs(SINK, {"max.message.bytes": "1048588"}), State.PROBLEM, "a worker ends at the first"),
        (
            with_configs("TRANSACTION", {"max.message.bytes": "99999999"}),
            State.WARNING,
            "above 8388608 (topics.max_message_bytes) none is delivered",
        ),
        (
            with_configs(SINK, {"cleanup.policy": "compact"}),
            State.PROBLEM,
            "planned delete: records get lost",
        ),
        (with_configs("eventproc.customers", {"cleanup.policy": "delete"}), State.PROBLEM, "planned compact"),
        (
            with_configs(SINK, {"retention.ms": "604800000"}),
            State.WARNING,
            "keeps records 7d, planned for ever",
        ),
        (with_configs(SINK, {"retention.bytes": "1000"}), State.WARNING, "retention.bytes is 1000"),
        (replace(SOUND, group_problem="GroupAuthorizationFailedError"), State.PROBLEM, "GroupAuthorization"),
        (replace(SOUND, members=None), State.SKIPPED, "does not tell"),
        (replace(SOUND, members=0), State.WARNING, "none is running"),
        (replace(SOUND, foreign_members=["other at h reads x"]), State.WARNING, "other at h reads x"),
        (
            replace(SOUND, positions={TopicPartition("TRANSACTION", 0): Position(0, 100, None)}),
            State.WARNING,
            "a worker would deliver all its 100 records",
        ),
    ],
)
def test_each_trouble_is_found_alone(facts: KafkaFacts, state: State, said: str) -> None:
    found = trouble(facts)
    assert found.state is state
    assert said in found.what


@pytest.mark.parametrize(
    ("position", "state", "said"),
    [
        (
            Position(50, 100, 20, Remaining(29, 21)),
            State.PROBLEM,
            "29 records expired before they were delivered, the first at offset 21",
        ),
        (Position(0, 10, 90), State.WARNING, "the committed offset 90 is beyond the end 10"),
        (Position(0, 0, 90), State.WARNING, "beyond the end 0"),
    ],
)
def test_offsets_outside_of_the_partition_are_told(position: Position, state: State, said: str) -> None:
    found = trouble(replace(SOUND, positions={**SOUND.positions, TopicPartition(SINK, 3): position}))
    assert found.state is state
    assert f"{SINK} 3: " in found.what
    assert said in found.what


def test_a_new_group_on_an_empty_topic_is_no_trouble() -> None:
    empty = replace(SOUND, positions={TopicPartition("TRANSACTION", 0): Position(0, 0, None)})
    assert {check.state for check in judged(empty)} == {State.OK}


def test_more_copies_than_brokers_are_a_problem() -> None:
    settings = load_settings(env={"TOPICS_REPLICATION_FACTOR": "5"})
    found = trouble(SOUND, settings)
    assert found.state is State.PROBLEM
    assert "topics.replication_factor is 5, and there are 3 brokers" in found.what
