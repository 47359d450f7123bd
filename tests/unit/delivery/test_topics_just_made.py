"""Topics that we are just making are no error, and everything else is."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.metadata import MetadataResponse_v1

from eventproc.delivery.topics_just_made import MOMENT_SECONDS, TopicsJustMade

LOGGERS = ("aiokafka.cluster", "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator")
NOT_THERE = UnknownTopicOrPartitionError.errno


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def just_made(now: list[float]) -> Iterator[TopicsJustMade]:
    made = TopicsJustMade(lambda: now[0])
    yield made
    for name in LOGGERS:
        logging.getLogger(name).removeFilter(made)


def said(caplog: pytest.LogCaptureFixture, *topics: tuple[int, str]) -> list[str]:
    """What aiokafka itself logs when a broker answers so: of each topic an error's number and the name."""
    caplog.clear()
    answer = MetadataResponse_v1(
        [(0, "host", 9092, None)], 0, [(error, name, False, []) for error, name in topics]
    )
    metadata = ClusterMetadata()
    metadata.need_all_topic_metadata = False
    metadata.update_metadata(answer)
    return [record.getMessage() for record in caplog.records if record.name == "aiokafka.cluster"]


def test_a_topic_just_made_that_is_not_everywhere_yet_is_no_error(
    caplog: pytest.LogCaptureFixture, just_made: TopicsJustMade, now: list[float]
) -> None:
    topics = ((NOT_THERE, "ours"), (LeaderNotAvailableError.errno, "ours"))
    assert len(said(caplog, *topics)) == 2, "aiokafka still says so: the filter is still needed"
    just_made.expect(["ours", "another"])
    assert said(caplog, *topics) == []
    now[0] += MOMENT_SECONDS
    assert len(said(caplog, *topics)) == 2, "by now it should be there"


def test_other_topics_and_other_troubles_are_said_as_ever(
    caplog: pytest.LogCaptureFixture, just_made: TopicsJustMade
) -> None:
    just_made.expect(["ours"])
    assert said(caplog, (NOT_THERE, "theirs")) == ["Topic theirs not found in cluster metadata"]
    assert said(caplog, (TopicAuthorizationFailedError.errno, "ours")) == [
        "Topic ours is not authorized for this client"
    ]
    log = logging.getLogger("aiokafka.cluster")
    caplog.clear()
    log.error("No broker metadata found in %s", "ours")
    log.error("Topic %s not found in cluster metadata")
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("module", "error", "is_new"),
    [
        (fetcher, NotLeaderForPartitionError(TopicPartition("ours", 3)), True),
        (fetcher, UnknownTopicOrPartitionError(TopicPartition("ours", 3)), True),
        (fetcher, NotLeaderForPartitionError(TopicPartition("theirs", 3)), False),
        (fetcher, NotLeaderForPartitionError(), False),
        (fetcher, TopicAuthorizationFailedError("ours"), False),
        (fetcher, KafkaConnectionError("ours"), False),
        (group_coordinator, GroupCoordinatorNotAvailableError(), True),
        (group_coordinator, GroupAuthorizationFailedError("group"), False),
    ],
)
def test_what_waits_for_a_leader_is_no_error_for_a_moment(  # noqa: PLR0917 - fixtures
    caplog: pytest.LogCaptureFixture,
    just_made: TopicsJustMade,
    now: list[float],
    module: ModuleType,
    error: KafkaError,
    is_new: bool,
) -> None:
    arguments: list[Any]
    message, arguments = "Group Coordinator Request failed: %s", [error]
    if module is fetcher:
        message, arguments = "Failed fetch offsets from %s: %s", [1, error]
    assert f'log.error("{message}"' in inspect.getsource(module), "aiokafka says it still"

    def is_said() -> bool:
        caplog.clear()
        module.log.error(message, *arguments)
        return bool(caplog.records)

    just_made.expect([])
    assert is_said()
    just_made.expect(["ours"])
    assert is_said() is not is_new
    now[0] += MOMENT_SECONDS
    assert is_said()
