"""Topics that we are just making are no error, and everything else is."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.metadata import MetadataResponse_v1

from eventproc.delivery.topics_just_made import MOMENT_SECONDS, TopicsJustMade

NOT_THERE = UnknownTopicOrPartitionError.errno


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def just_made(now: list[float]) -> Iterator[TopicsJustMade]:
    made = TopicsJustMade(lambda: now[0])
    yield made
    for name in ("aiokafka.cluster", "aiokafka.consumer.group_coordinator"):
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
