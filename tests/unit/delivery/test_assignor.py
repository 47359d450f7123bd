"""The assignor in Faust's hands and aiokafka's: in force, understood by others, and heard when it has to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faust
import pytest
import structlog
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver

from agents.wiring import create_app
from eventproc.delivery.assignor import Assignor, subscription_of
from eventproc.group_topics import GroupTopics
from settings import load_settings
from tests.unit.pages.site import a_site

TOPICS = {f"eventproc.client.wallet-{number:03}.sep24": set(range(4)) for number in range(50)}


class Cluster:
    """As much of aiokafka's metadata as an assignor asks for."""

    def __init__(self, topics: dict[str, set[int]]) -> None:
        self._topics = topics

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._topics.get(topic)


def an_assignor(**limits: Any) -> Any:
    app = faust.App("assigning", broker="kafka://127.0.0.1")
    return type("Limited", (Assignor,), limits)(app)


def told(metadata: ConsumerProtocolMemberMetadata) -> ConsumerProtocolMemberMetadata:
    """As it arrives at the leader."""
    return ConsumerProtocolMemberMetadata.decode(metadata.encode())


def given(assignment: ConsumerProtocolMemberAssignment) -> ConsumerProtocolMemberAssignment:
    """As it arrives at the member."""
    return ConsumerProtocolMemberAssignment.decode(assignment.encode())


def everything(assigned: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted(tuple(tp) for one in assigned.values() for tp in given(one).partitions())


EVERY = sorted((topic, partition) for topic, partitions in TOPICS.items() for partition in partitions)


def strategy(app: Any) -> list[Any]:
    """What Faust's consumer hands to aiokafka."""
    thread: Any = SimpleNamespace(app=app, consumer=SimpleNamespace(in_transaction=False))
    consumer = driver.AIOKafkaConsumerThread._create_worker_consumer(thread, app.transport)
    consumer._closed = True  # it was never opened, and says nothing of it
    found: list[Any] = consumer._partition_assignment_strategy
    return found


async def test_faust_still_takes_aiokafka_s_without_standbys() -> None:
    """When this fails, the setting of replicas for tables that do not exist can go."""
    app = faust.App("plain", broker="kafka://127.0.0.1", table_standby_replicas=0)
    assert strategy(app) == [RoundRobinPartitionAssignor]


async def test_the_worker_takes_ours() -> None:
    env = {"CONSUMER_GROUP_RECORD_MAX_BYTES": "50000", "TOPICS_SOURCE": "EVENTS", "TOPICS_PREFIX": "ours."}
    app: Any = create_app(load_settings(env=env))
    assert strategy(app) == [app.assignor]
    assert isinstance(app.assignor, Assignor)
    assert app.assignor.record_max_bytes == 50_000
    assert app.assignor.ours == GroupTopics("EVENTS", "ours.")
    assert app.assignor.wide_topics == {"EVENTS", "ours.callback-api"}


@pytest.mark.parametrize("leader", [Assignor, RoundRobinPartitionAssignor], ids=["ours", "aiokafka_s"])
def test_workers_of_older_versions_are_in_the_same_group(leader: Any) -> None:
    ours, theirs = an_assignor(), RoundRobinPartitionAssignor()
    assert (ours.name, ours.version) == (theirs.name, theirs.version)
    members = {"new": told(ours.metadata(set(TOPICS))), "old": told(theirs.metadata(set(TOPICS)))}
    assigned = (ours if leader is Assignor else theirs).assign(Cluster(TOPICS), members)
    assert everything(assigned) == EVERY
    ours.on_assignment(given(assigned["new"]))
    assert sorted(ours.assigned_actives()) == sorted(map(tuple, given(assigned["new"]).partitions()))


@pytest.mark.parametrize("user_data", [b"{not json", b"\x00" * 1000, None])
def test_what_a_foreign_member_tells_beside_its_topics_is_nobody_s_business(user_data: bytes | None) -> None:
    ours = an_assignor()
    foreign = ConsumerProtocolMemberMetadata(3, [*TOPICS, *TOPICS], user_data)
    members = {"ours": told(ours.metadata(set(TOPICS))), "foreign": told(foreign)}
    assigned = ours.assign(Cluster(TOPICS), members)
    assert everything(assigned) == EVERY
    assert assigned["ours"].user_data == b""


def test_a_member_that_reads_other_topics_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Assignor, "ours", GroupTopics("TRANSACTION", "ours."))
    members = {
        "a": told(ConsumerProtocolMemberMetadata(0, ["TRANSACTION", "ours.callback-api"], b"")),
        "b": told(ConsumerProtocolMemberMetadata(0, ["TRANSACTION", "other.callback-api"], b"")),
    }
    with structlog.testing.capture_logs() as logs:
        an_assignor().assign(Cluster(TOPICS), members)
    reported = [one for one in logs if one["event"] == "group.foreign_member"]
    assert [(one["member"], one["problem"]) for one in reported] == [("b", "reads other.callback-api")]


def test_the_words_of_another_protocol_are_no_subscription() -> None:
    assert subscription_of(an_assignor().metadata({"a", "b"}).encode()) == frozenset({"a", "b"})
    assert subscription_of(b"") is None
    assert subscription_of(b"\x00\x01connect") is None


def test_a_member_tells_no_more_than_the_names_of_its_topics() -> None:
    """And those it must tell: Kafka lets committed offsets expire of topics that nobody names."""
    ours = an_assignor()
    ours.on_assignment(given(ours.assign(Cluster(TOPICS), {"m": told(ours.metadata(set(TOPICS)))})["m"]))
    again = told(ours.metadata(set(TOPICS)))
    assert again.subscription == sorted(TOPICS)
    assert len(again.encode()) == 10 + sum(2 + len(topic) for topic in TOPICS)
    faust_s: Any = PartitionAssignor(ours.app)
    assigned = faust_s._perform_assignment(Cluster(TOPICS), {"m": told(faust_s.metadata(set(TOPICS)))})
    faust_s.on_assignment(given(assigned["m"]))
    assert len(faust_s.metadata(set(TOPICS)).encode()) > 3 * len(again.encode()), "else ours is not needed"


def test_the_record_is_reckoned_with_what_is_sent() -> None:
    ours = an_assignor()
    members = {f"eventproc-{number:036}": told(ours.metadata(set(TOPICS))) for number in range(3)}
    with structlog.testing.capture_logs() as logs:
        assigned = an_assignor(record_max_bytes=1).assign(Cluster(TOPICS), members)
    sent = sum(len(one.encode()) for one in (*members.values(), *assigned.values()))
    reckoned = logs[0]["record_bytes"]
    assert sent < reckoned < sent + 256 + 3 * 250


def test_a_group_that_becomes_too_large_is_heard_of_in_time() -> None:
    ours = an_assignor()
    members = {f"m{number}": told(ours.metadata(set(TOPICS))) for number in range(4)}
    said = {}
    for limit in (1_000_000, 14_000, 5_000):
        with structlog.testing.capture_logs() as logs:
            assert everything(an_assignor(record_max_bytes=limit).assign(Cluster(TOPICS), members)) == EVERY
        said[limit] = [{name: entry[name] for name in entry if name != "record_bytes"} for entry in logs]
    group = {"topics": 50, "workers": 4}
    assert said[1_000_000] == []
    assert said[14_000] == [
        {"event": "group.topics_narrowed", "log_level": "warning", "workers_each": 2, "max_bytes": 14_000}
        | group
    ]
    assert said[5_000] == [
        {"event": "group.record_too_large", "log_level": "error", "max_bytes": 5_000} | group
    ]


def test_a_topic_that_kafka_does_not_know_is_left_out_and_named() -> None:
    ours = an_assignor()
    members = {"m": told(ours.metadata({*TOPICS, "gone"}))}
    with structlog.testing.capture_logs() as logs:
        assigned = ours.assign(Cluster(TOPICS), members)
    assert everything(assigned) == EVERY
    assert [entry["topics"] for entry in logs if entry["event"] == "group.topics_unknown"] == [["gone"]]


async def test_faust_s_pages_know_what_is_assigned() -> None:
    async with a_site() as site:
        assert await site.json("/stats/assignment/") == {"actives": {}, "standbys": {}}
        assigned = ConsumerProtocolMemberAssignment(0, [("a", [0, 2]), ("b", [1])], b"")
        site.app.assignor.on_assignment(given(assigned))
        assert (await site.json("/stats/assignment/"))["actives"] == {"a": [0, 2], "b": [1]}
