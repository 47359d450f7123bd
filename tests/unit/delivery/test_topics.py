"""Which topics a configuration needs."""

from __future__ import annotations

from eventproc.delivery.topics import TopicPlan, plan_topics
from settings import load_settings

HOUR_MS = 3_600_000


def test_the_attempts_have_partitions_and_a_retention_of_their_own() -> None:
    env = {"TIMELINE_PARTITIONS": "3", "TIMELINE_RETENTION_HOURS": "2", "TOPICS_PARTITIONS": "5"}
    plans = plan_topics(load_settings(env=env), [])
    assert TopicPlan("eventproc.attempts", 3, 2 * HOUR_MS) in plans


def test_without_timelines_there_is_no_topic_for_them() -> None:
    plans = plan_topics(load_settings(env={"TIMELINE_ENABLED": "false"}), [])
    assert "eventproc.attempts" not in {plan.name for plan in plans}


def test_only_a_shadow_worker_has_a_topic_for_what_it_would_send() -> None:
    assert "eventproc.requests" not in {plan.name for plan in plan_topics(load_settings(env={}), [])}
    env = {"DELIVERY_MODE": "shadow", "DELIVERY_SHADOW_RETENTION_HOURS": "3", "TOPICS_PARTITIONS": "5"}
    assert TopicPlan("eventproc.shadow.requests", 5, 3 * HOUR_MS) in plan_topics(load_settings(env=env), [])
