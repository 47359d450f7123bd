"""What is fetched next is what aiokafka itself would fetch."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery.fetch_pace import FetchPace
from eventproc.delivery.fetch_plan import FetchPlan
from eventproc.delivery.fetch_sessions import FetchSessions

NODES = (1, 2, 3)
FETCHER_TIMEOUT = 0.2
AT_ONCE = FetchPace(apart=0, wait=100, short_wait=100)
PARTITIONS = [TopicPartition(topic, number) for topic in "abc" for number in range(3)]


class Cluster:
    def __init__(self, leaders: dict[TopicPartition, int | None]) -> None:
        self._partitions = leaders
        self.asked = 0

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        self.asked += 1
        return self._partitions[partition]


class Assignment:
    """aiokafka's, without what waits."""

    def __init__(self, positions: dict[TopicPartition, int | None], paused: set[TopicPartition]) -> None:
        self.tps = frozenset(positions)
        self._tp_state = {
            partition: SimpleNamespace(
                _position=position,
                position=position,
                has_valid_position=position is not None,
                _paused=partition in paused,
                paused=partition in paused,
                resume_fut=("resume", partition),
            )
            for partition, position in positions.items()
        }

    def state_value(self, partition: TopicPartition) -> Any:
        return self._tp_state[partition]


def make_fetcher(
    leaders: dict[TopicPartition, int | None],
    records: dict[TopicPartition, float] | None = None,
    in_flight: set[int] | None = None,
) -> Any:
    """aiokafka's own decision over what this has of a fetcher; ``records``: seconds that are left to take each.

    All have equally long, so the one with the most left has come last.
    """
    fetcher = Fetcher.__new__(Fetcher)
    fetcher._client = FetchSessions(SimpleNamespace(cluster=Cluster(leaders)))
    fetcher._records = OrderedDict(
        (partition, SimpleNamespace(calculate_backoff=lambda seconds=seconds: seconds))
        for partition, seconds in sorted((records or {}).items(), key=lambda record: record[1])
    )
    fetcher._in_flight = in_flight or set()
    fetcher._preferred_read_replica = {}
    fetcher._fetcher_timeout = FETCHER_TIMEOUT
    fetcher._max_partition_fetch_bytes = 1000
    fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes, fetcher._fetch_max_bytes = 100, 1, 1 << 20
    fetcher._isolation_level, fetcher._client_rack = 0, None
    return fetcher


def comparable(actions: Any) -> Any:
    """Without when to look again, and the order, which aiokafka shuffles; each request in the broker's words."""
    requests, resets, _, stale, resume = actions
    return (
        {
            node: (
                {
                    (topic, partition, offset, most)
                    for topic, entries in struct.topics
                    for partition, _, offset, _, most in entries
                },
                struct.max_wait_time,
                struct.min_bytes,
                struct.max_bytes,
                struct.isolation_level,
                struct.rack_id,
            )
            for node, request in requests
            for struct in [request.build(FetchRequest_v11)]
        },
        {node: set(partitions) for node, partitions in resets.items()},
        stale,
        set(resume),
    )


some = st.sets(st.sampled_from(PARTITIONS))


@given(
    leaders=st.fixed_dictionaries({one: st.sampled_from((*NODES, *NODES, None, -1)) for one in PARTITIONS}),
    records=st.dictionaries(st.sampled_from(PARTITIONS), st.sampled_from((0, 0.05, 0.1))),
    in_flight=st.sets(st.sampled_from(NODES)),
    positions=st.fixed_dictionaries({one: st.integers(0, 3) for one in PARTITIONS}),
    assigned=some,
)
def test_it_decides_as_aiokafka_does(
    leaders: Any, records: Any, in_flight: set[int], positions: Any, assigned: set[TopicPartition]
) -> None:
    assignment = Assignment({one: positions[one] for one in assigned}, set())
    # To look again in time for a broker whose answer is under way is no use: that answer is what wakes it.
    of_others = {one: seconds for one, seconds in records.items() if leaders[one] not in in_flight}
    are_led = all(leaders[one] in NODES for one in assigned)
    expected = make_fetcher(leaders, of_others if are_led else records, in_flight)._get_actions_per_node(
        assignment
    )
    found = FetchPlan(make_fetcher(leaders, records, in_flight), AT_ONCE)(assignment)
    assert comparable(found) == comparable(expected)
    assert found[2] == expected[2], "it looks again in time"


@given(
    leaders=st.fixed_dictionaries({one: st.sampled_from(NODES) for one in PARTITIONS}),
    unknown=some,
    paused=some,
    in_flight=st.sets(st.sampled_from(NODES)),
)
def test_positions_to_look_up_and_pauses_are_aiokafkas(
    leaders: Any, unknown: set[TopicPartition], paused: set[TopicPartition], in_flight: set[int]
) -> None:
    fetcher = make_fetcher(leaders, {}, in_flight)
    assignment = Assignment({one: None if one in unknown else 5 for one in PARTITIONS}, paused)
    expected = fetcher._get_actions_per_node(assignment)
    assert comparable(FetchPlan(fetcher, AT_ONCE)(assignment)) == comparable(expected)


def test_leaders_are_looked_up_once_for_each_change() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    plan, assignment = FetchPlan(fetcher, AT_ONCE), Assignment(dict.fromkeys(PARTITIONS, 5), set())
    cluster = fetcher._client.cluster
    for _ in range(3):
        assert [node for node, _ in plan(assignment)[0]] == [1]
    assert cluster.asked == len(PARTITIONS)
    cluster._partitions = dict.fromkeys(PARTITIONS, 2)
    assert [node for node, _ in plan(assignment)[0]] == [2]
    assert [node for node, _ in plan(Assignment({PARTITIONS[0]: 1}, set()))[0]] == [2]
    assert cluster.asked == 2 * len(PARTITIONS) + 1


def test_who_is_named_first_changes_where_no_session_sees_to_it() -> None:
    partitions = [TopicPartition(f"t{number}", 0) for number in range(50)]
    fetcher = make_fetcher(dict.fromkeys(partitions, 1))
    plan, assignment = FetchPlan(fetcher, AT_ONCE), Assignment(dict.fromkeys(partitions, 5), set())
    orders = {
        tuple(topic for topic, _ in plan(assignment)[0][0][1].build(FetchRequest_v11).topics)
        for _ in range(5)
    }
    assert len(orders) > 1


@pytest.mark.parametrize("change", ["none", "elsewhere", "leader", "assignment"])
def test_a_session_begins_anew_where_it_would_go_on_with_what_is_anothers(change: str) -> None:
    fetcher = make_fetcher({one: 1 if one.topic == "a" else 2 for one in PARTITIONS})
    plan, cluster = FetchPlan(fetcher, AT_ONCE), fetcher._client.cluster
    assignment = Assignment(dict.fromkeys(PARTITIONS, 5), set())

    def named() -> dict[int, int]:
        structs = {node: request.build(FetchRequest_v11) for node, request in plan(assignment)[0]}
        for node in structs:
            fetcher._client.session_of(node).answered(7)
        return {node: sum(len(entries) for _, entries in struct.topics) for node, struct in structs.items()}

    assert named() == {1: 3, 2: 6}
    assert named() == {1: 0, 2: 0}
    if change == "assignment":
        assignment = Assignment(dict.fromkeys(PARTITIONS[:4], 5), set())
    elif change != "none":
        moved = {PARTITIONS[0]: 2} if change == "leader" else {TopicPartition("other", 0): 3}
        cluster._partitions = cluster._partitions | moved
    expected = {"leader": {1: 2, 2: 7}, "assignment": {1: 3, 2: 1}}
    assert named() == expected.get(change, {1: 0, 2: 0})


def test_with_a_rack_aiokafka_decides() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    plan = FetchPlan(fetcher, AT_ONCE)
    fetcher._preferred_read_replica = {PARTITIONS[0]: (3, float("inf"))}
    fetcher._client.cluster.broker_metadata = lambda node: node
    assert {node for node, _ in plan(Assignment(dict.fromkeys(PARTITIONS, 5), set()))[0]} == {1, 3}


def test_fetches_from_one_broker_are_apart() -> None:
    fetcher = make_fetcher({one: 1 if one.topic == "a" else 2 for one in PARTITIONS})
    now = [100.0]
    plan = FetchPlan(fetcher, FetchPace(apart=40, wait=100, short_wait=40), lambda: now[0])
    assignment = Assignment(dict.fromkeys(PARTITIONS, 5), set())
    assert {node for node, _ in plan(assignment)[0]} == {1, 2}
    now[0] += 0.03
    requests, _, timeout, *_ = plan(assignment)
    assert requests == []
    assert timeout == pytest.approx(0.01), "looked at again when the time is over"
    fetcher._in_flight = {2}
    now[0] += 0.011
    assert [node for node, _ in plan(assignment)[0]] == [1]
    fetcher._in_flight = set()
    assert [node for node, _ in plan(assignment)[0]] == [2]


def test_what_is_fetched_is_not_gone_through_while_no_broker_could_be_asked() -> None:
    """Every poll that takes some of it wakes the plan."""
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1), {PARTITIONS[0]: 0.05}, in_flight={1})
    plan = FetchPlan(fetcher, FetchPace(apart=40, wait=100, short_wait=40), lambda: 100.0)
    fetcher._records[PARTITIONS[0]].calculate_backoff = None  # asked, it would raise
    assignment = Assignment(dict.fromkeys(PARTITIONS, 5), set())
    assert plan(assignment)[0] == []


def test_of_what_is_fetched_only_the_last_to_come_of_each_broker_is_looked_at() -> None:
    """A thousand partitions can have something that waits, at each of fifty polls a second."""
    leaders: dict[TopicPartition, int | None] = {one: 1 if one.topic == "a" else 2 for one in PARTITIONS}
    fetcher = make_fetcher(leaders, dict.fromkeys(PARTITIONS[1:], 0.05))
    for partition in (PARTITIONS[1], *PARTITIONS[3:-1]):
        fetcher._records[partition].calculate_backoff = None  # asked, it would raise
    requests, _, timeout, *_ = FetchPlan(fetcher, AT_ONCE)(Assignment(dict.fromkeys(PARTITIONS, 5), set()))
    assert (requests, timeout) == ([], 0.05)


def test_a_fetch_without_some_of_its_partitions_waits_less() -> None:
    """What comes for those meanwhile has to wait for its end."""
    pace = FetchPace(apart=0, wait=100, short_wait=40)
    assignment = Assignment(dict.fromkeys(PARTITIONS, 5), set())
    whole = FetchPlan(make_fetcher(dict.fromkeys(PARTITIONS, 1)), pace)
    part = FetchPlan(make_fetcher(dict.fromkeys(PARTITIONS, 1), {PARTITIONS[0]: 0.0}), pace)
    assert [request._max_wait_ms for _, request in whole(assignment)[0]] == [100]
    assert [request._max_wait_ms for _, request in part(assignment)[0]] == [40]
