from __future__ import annotations

import pytest

from settings.shadow import as_shadow
from tests.unit.settings.loading import Loading, keys

SHADOW = {"DELIVERY_MODE": "Shadow"}


@pytest.mark.parametrize(
    ("env", "prefix", "group"),
    [({}, "eventproc.", "eventproc"), ({"TOPICS_PREFIX": "a.", "TOPICS_CONSUMER_GROUP": "b"}, "a.", "b")],
)
def test_a_shadow_worker_shares_no_topic_and_no_group_with_those_that_deliver(
    loading: Loading, env: dict[str, str], prefix: str, group: str
) -> None:
    found = loading.load(env=env | SHADOW)

    assert (found.topics.prefix, found.topics.consumer_group) == (f"{prefix}shadow.", f"{group}-shadow")
    assert found.topics.requests == f"{prefix}shadow.requests"
    assert found.topics.source == "TRANSACTION"
    assert "delivery.mode" in found.origins["topics.prefix"]
    assert "delivery.mode" in found.origins["topics.consumer_group"]


def test_who_checks_the_configuration_is_told_that_nothing_is_sent(loading: Loading) -> None:
    found = loading.load(env=SHADOW)

    assert keys(found.warnings) == ["delivery.mode"]
    assert "nothing is sent" in found.warnings[0].wrong


def test_commands_find_the_shadow_s_topics_whatever_the_mode_is_now(loading: Loading) -> None:
    shadow = loading.load(env=SHADOW)

    assert as_shadow(loading.load()).topics == shadow.topics
    assert as_shadow(shadow) is shadow


def test_no_other_mode_exists(loading: Loading) -> None:
    problem = loading.problem(env={"DELIVERY_MODE": "dry-run"})

    assert problem.key == "delivery.mode"
    assert "shadow" in problem.right
