"""The customer index: who named a customer first, kept by workers that learn at the same time and can be killed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventproc.customer_index import CustomerIndex, NamedAt, Naming

CLIENTS = ("a", "b", "c")
CUSTOMERS = ("1", "2", '["1","a",5,0,0]')


def restored(records: dict[bytes, bytes] | list[tuple[bytes, bytes]]) -> CustomerIndex:
    index = CustomerIndex()
    for key, value in records.items() if isinstance(records, dict) else records:
        index.restore(key, value)
    return index


def owners_by_the_rule(namings: list[Naming], customer: str, *, shared: bool = False) -> set[str]:
    """The first by time and position, and those that it created a transaction of."""
    of_it = sorted((naming for naming in namings if naming.customer == customer), key=lambda one: one.at)
    first = {of_it[0].client} if of_it else set()
    return first | {naming.client for naming in of_it if naming.is_creator or shared}


@st.composite
def sources(draw: st.DrawFn) -> list[list[Naming]]:
    """Two source partitions of transactions; clocks of producers may go backwards, and offsets may have gaps."""
    found = []
    for partition in (0, 1):
        namings = draw(
            st.lists(
                st.tuples(
                    st.sampled_from(CUSTOMERS),
                    st.sampled_from(CLIENTS),
                    st.integers(0, 6),
                    st.booleans(),
                    st.integers(1, 3),
                ),
                max_size=8,
            )
        )
        offset, of_partition = 0, []
        for customer, client, time, is_creator, gap in namings:
            offset += gap
            of_partition.append(Naming(customer, client, NamedAt(time, partition, offset), is_creator))
        found.append(of_partition)
    return found


@dataclass
class Topic:
    """The compacted topic: the log since the last compaction, and what the compaction left."""

    records: list[tuple[bytes, bytes]] = field(default_factory=list)

    def compact(self) -> None:
        """Keep the last record of each key, where it stands."""
        last = {key: number for number, (key, _) in enumerate(self.records)}
        self.records = [one for number, one in enumerate(self.records) if last[one[0]] == number]


class Worker:
    """A router with its index: writes in order, and commits only what the topic has acknowledged."""

    def __init__(self, source: list[Naming], topic: Topic) -> None:
        self.source = source
        self.topic = topic
        self.committed = 0
        self.start()

    def start(self) -> None:
        """Read the whole topic, and go on behind the last commit."""
        self.index = restored(self.topic.records)
        self.unwritten: list[tuple[int, bytes, bytes]] = []
        self.position = self.committed

    def follow(self, count: int) -> None:
        """Read what others wrote, up to ``count`` records before the end: a worker lags."""
        for key, value in self.topic.records[: max(0, len(self.topic.records) - count)]:
            self.index.restore(key, value)

    def route(self) -> None:
        if self.position < len(self.source):
            naming = self.source[self.position]
            self.position += 1
            if self.index.learn(naming):
                self.unwritten.append((self.position, naming.key(), naming.value()))

    def write(self) -> None:
        for _, key, value in self.unwritten:
            self.topic.records.append((key, value))
        self.unwritten.clear()
        self.committed = self.position


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(
    sources(),
    st.lists(
        st.tuples(
            st.sampled_from(["route", "route", "write", "follow", "kill", "compact"]), st.integers(0, 3)
        ),
        max_size=40,
    ),
)
def test_two_workers_that_learn_at_once_agree_whatever_is_killed_and_compacted(
    partitions: list[list[Naming]], steps: list[tuple[str, int]]
) -> None:
    topic = Topic()
    workers = [Worker(partition, topic) for partition in partitions]
    for step, number in steps:
        worker = workers[number % 2]
        match step:
            case "route":
                worker.route()
            case "write":
                worker.write()
            case "follow":
                worker.follow(number)
            case "kill":
                worker.start()
            case _:
                topic.compact()
    for worker in workers:
        while worker.position < len(worker.source):
            worker.route()
        worker.write()
    topic.compact()
    everything = [naming for partition in partitions for naming in partition]
    again = restored(topic.records)
    for customer in CUSTOMERS:
        expected = owners_by_the_rule(everything, customer)
        assert again.owners_of(customer) == expected
        assert again.owners_of(customer, shared=True) == owners_by_the_rule(everything, customer, shared=True)
    for worker in workers:
        worker.follow(0)
        assert all(worker.index.owners_of(one) == again.owners_of(one) for one in CUSTOMERS)
        assert worker.index.contested_count == again.contested_count


@settings(max_examples=100)
@given(sources())
def test_the_order_of_reading_decides_nothing(partitions: list[list[Naming]]) -> None:
    first, second = partitions
    found = []
    for order in ([*first, *second], [*second, *first], [*second, *first][::-1]):
        index = CustomerIndex()
        for naming in order:
            index.learn(naming)
        found.append([(index.owners_of(one), index.rivals_of(one)) for one in CUSTOMERS])
    assert found[0] == found[1] == found[2]


def test_a_worker_that_was_slower_overwrites_nothing() -> None:
    """One key for each customer lost a client here, one for each customer and client the first naming's time."""
    early, late = Naming("c", "a", NamedAt(3, 1, 0), is_creator=False), NamedAt(5, 0, 0)
    topic = Topic()
    for naming in (early, early._replace(at=late), Naming("c", "b", NamedAt(4, 0, 1), is_creator=False)):
        topic.records.append((naming.key(), naming.value()))
    topic.compact()
    assert restored(topic.records).owners_of("c") == {"a"}


def test_entries_of_version_1_count_before_all_and_go_on_to_receive() -> None:
    index = restored(
        [(b"c", b'["wallet","other"]'), (b"d", b'["wallet"]'), (b"e", b"damaged"), (b"f", b"{}")]
    )
    assert index.owners_of("c") == {"wallet", "other"}
    assert len(index) == 2
    assert index.learn(Naming("d", "other", NamedAt(-1, 0, 0), is_creator=False))
    assert index.owners_of("d") == {"wallet"}
    assert index.rivals_of("d") == {"other"}
    assert not index.learn(Naming("d", "wallet", NamedAt(0, 0, 0), is_creator=True)), "nothing to write again"


def test_a_tombstone_forgets_a_customer_of_version_1() -> None:
    index = restored([(b"c", b'["wallet"]')])
    index.restore(b"c", None)
    assert len(index) == 0
    assert index.owners_of("c") == frozenset()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b'["c","a",1,0,0]', b"{}"),
        (b'["c","a",1,0,0]', b'{"creator":1}'),
        (b'["c","a",1,0,0]', b"true"),
        (b'["c","a",1,0]', b'{"creator":true}'),
        (b'["c","a",1,0,true]', b'{"creator":true}'),
        (b'["c",null,1,0,0]', b'{"creator":true}'),
        (b'["c"]', b'{"creator":true}'),
        (b"5", b'{"creator":true}'),
        (b"\xff", b'{"creator":true}'),
    ],
)
def test_a_record_of_another_form_is_left_out(key: bytes, value: bytes) -> None:
    assert len(restored([(key, value)])) == 0


def test_a_key_can_be_read_by_a_person_and_is_different_for_different_namings() -> None:
    namings = [
        Naming(customer, client, NamedAt(time, 0, offset), is_creator=True)
        for customer, client in permutations(("é", '","', "a"), 2)
        for time in (-1, 9_223_372_036_854_775_807)
        for offset in (0, 1)
    ]
    assert len({naming.key() for naming in namings}) == len(namings)
    assert json.loads(namings[0].key()) == ["é", '","', -1, 0, 0]
    assert restored([(one.key(), one.value()) for one in namings]).owners_of("a")
