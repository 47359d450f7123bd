"""Topics of destinations: what Kafka takes, and the names that existing topics have."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settings import SettingsError, load_settings
from settings.topic_names import TOPIC_BYTES, collisions, topic_name
from tests.servers.anchor_env import TEST_SEED

LEGAL = re.compile(r"[A-Za-z0-9._-]+")


def load(*names: str, seps: tuple[str, ...] = ("sep24",), prefix: str = "eventproc.") -> Any:
    clients = [
        {
            "name": name,
            "type": "noncustodial",
            "domains": [f"d{number}.example"],
            "callback_urls": dict.fromkeys(seps, "https://receiver.example/"),
        }
        for number, name in enumerate(names)
    ]
    env = {
        "CLIENTS_TYPE": "json",
        "CLIENTS_VALUE": json.dumps(clients),
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
        "TOPICS_PREFIX": prefix,
    }
    return load_settings(env=env)


@settings(max_examples=200)
@given(
    st.sampled_from(["e.", "eventproc.", "p" * 200, "eventproc.shadow."]),
    st.lists(
        st.text(st.sampled_from("ab._- é\U0001f680/"), min_size=1, max_size=300), unique=True, max_size=6
    ),
)
def test_every_name_is_legal_and_different_ones_differ(prefix: str, names: list[str]) -> None:
    topics = [topic_name(prefix, f"client.{name}.sep24") for name in names]
    assert all(LEGAL.fullmatch(topic) and len(topic) <= TOPIC_BYTES for topic in topics)
    assert len(set(topics)) == len(topics)


@pytest.mark.parametrize(
    ("destination", "topic"),
    [
        ("callback-api", "eventproc.callback-api"),
        ("client.my_wallet.v2.sep24", "eventproc.client.my_wallet.v2.sep24"),
        ("client.my wallet.sep24", "eventproc.client.my-wallet.sep24-fe800f72"),
        (f"client.{'x' * 183}.sep24", f"eventproc.client.{'x' * 183}.sep24"),
        (f"client.{'x' * 250}.sep24", f"eventproc.client.{'x' * 193}-bb0c385b"),
    ],
)
def test_existing_topics_keep_their_names(destination: str, topic: str) -> None:
    assert topic_name("eventproc.", destination) == topic


def test_a_name_that_kafka_refused_as_too_long_is_cut() -> None:
    topic = topic_name("p" * 60, f"client.{'x' * 300}.sep24")
    assert len(topic) == TOPIC_BYTES
    assert topic != topic_name("p" * 60, f"client.{'x' * 300}.sep31")


@pytest.mark.parametrize("names", [("my.wallet", "my_wallet"), ("a_b.c", "a.b_c"), ("a.b", "plain", "a_b")])
def test_clients_that_differ_only_in_dots_and_underscores_are_refused_by_name(names: tuple[str, ...]) -> None:
    """Kafka refuses the second topic, and the whole installation stopped."""
    with pytest.raises(SettingsError) as caught:
        load(*names)
    (problem,) = caught.value.problems
    assert problem.key == "clients.name"
    assert names[0] in problem.wrong
    assert names[-1] in problem.wrong


def test_others_are_taken() -> None:
    assert len(load("my.wallet", "my-wallet", "My.wallet", "x" * 300, "my wallet").clients) == 5
    assert list(collisions([("a.b", "one"), ("a_b", "one")])) == []
