"""What a replay sends again, and to whom."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.customer_index import UNPLACED, CustomerIndex, Naming
from eventproc.events import decode
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.ownership import ClientRule
from eventproc.payloads import Sep
from eventproc.records import Source, internal_headers, read_origin
from eventproc.replay import Place, Planner, ReplayPlan, ReplaySelection, copies_of, routed_end
from eventproc.routing import RoutingTable
from eventproc.watermark import PartitionProgress

BUSINESS, WALLET, OTHER = map(DestinationId, ("callback-api", "client.w.sep24", "client.o.sep24"))
ALL = frozenset({BUSINESS, WALLET, OTHER})
TOPICS = {BUSINESS: "to.business", WALLET: "to.wallet", OTHER: "to.other"}


def transaction(number: int, lane: str, client: str | None = "w") -> bytes:
    members = {"id": lane, "sep": "24", "kind": "deposit", "status": "completed", "client_name": client}
    return json.dumps(
        {"type": "transaction_status_changed", "id": f"e{number}", "transaction": members}
    ).encode()


def customer(number: int, lane: str) -> bytes:
    return json.dumps({"type": "customer_updated", "id": f"e{number}", "customer": {"id": lane}}).encode()


@dataclass
class Desk:
    selection: ReplaySelection = field(default_factory=lambda: ReplaySelection(ALL))
    customers: CustomerIndex = field(default_factory=CustomerIndex)
    max_record_bytes: int = 10_000

    def __post_init__(self) -> None:
        rules = [
            ClientRule("w", endpoints={Sep.SEP24: WALLET, Sep.SEP12: DestinationId("client.w.sep12")}),
            ClientRule("o", endpoints={Sep.SEP24: OTHER}),
        ]
        self.planner = Planner(
            RoutingTable(rules, BUSINESS), self.customers, self.selection, self.max_record_bytes
        )
        self.offset = 0

    def offer(self, value: bytes | None, at: int | None = None, partition: int = 0) -> None:
        """The next record, by default published at its offset."""
        published = self.offset if at is None else at
        self.planner.offer(Source("TRANSACTION", partition, self.offset, published), value)
        self.offset += 1

    def plan(self) -> ReplayPlan:
        return self.planner.plan()


def test_each_event_goes_where_the_router_would_send_it_now() -> None:
    desk = Desk()
    desk.offer(transaction(0, "t1"))
    desk.offer(transaction(1, "t2", "o"))
    desk.offer(transaction(2, "t3", None))
    plan = desk.plan()
    assert plan.copies == {
        Place(0, 0, 0): (BUSINESS, WALLET),
        Place(0, 1, 1): (BUSINESS, OTHER),
        Place(0, 2, 2): (BUSINESS,),
    }
    assert {id_: portion.count for id_, portion in plan.portions.items()} == {
        BUSINESS: 3,
        WALLET: 1,
        OTHER: 1,
    }
    assert plan.copy_count == 5


def test_a_customer_s_update_goes_to_whom_the_index_knows() -> None:
    desk = Desk(ReplaySelection(frozenset({DestinationId("client.w.sep12")})))
    desk.customers.learn(Naming("c1", "w", UNPLACED, is_creator=True))
    desk.offer(customer(0, "c1"))
    desk.offer(customer(1, "c2"))
    plan = desk.plan()
    assert list(plan.copies) == [Place(0, 0, 0)]
    assert plan.elsewhere == 1


def test_only_the_destinations_that_were_named() -> None:
    desk = Desk(ReplaySelection(frozenset({WALLET})))
    desk.offer(transaction(0, "t1"))
    desk.offer(transaction(1, "t2", "o"))
    plan = desk.plan()
    assert plan.copies == {Place(0, 0, 0): (WALLET,)}
    assert plan.elsewhere == 1


def test_a_window_has_both_its_ends_in_it() -> None:
    desk = Desk(ReplaySelection(ALL, since_ms=10, until_ms=20))
    for number, at in enumerate((9, 10, 15, 20, 21, 12)):
        desk.offer(transaction(number, "t"), at)
    assert [place.offset for place in desk.plan().copies] == [1, 2, 3, 5]


def test_transactions_customers_and_quotes_by_their_ids() -> None:
    desk = Desk(ReplaySelection(ALL, lanes=frozenset({"t1", "c1", "q1"})))
    desk.offer(transaction(0, "t1"))
    desk.offer(transaction(1, "t2"))
    desk.offer(customer(2, "c1"))
    desk.offer(b'{"type":"quote_created","id":"e3","quote":{"id":"q1"}}')
    desk.offer(b'{"type":"quote_created","id":"e4","quote":{"id":"q2"}}')
    plan = desk.plan()
    assert [place.offset for place in plan.copies] == [0, 2, 3]
    assert plan.elsewhere == 0, "what was not asked for is not left out"


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"x" * 10_001])
def test_what_the_router_could_not_read_is_counted_and_left_out(value: bytes | None) -> None:
    desk = Desk()
    desk.offer(value)
    plan = desk.plan()
    assert (plan.copies, plan.unreadable) == ({}, 1)


def test_of_each_destination_the_first_and_the_last_event_are_shown() -> None:
    desk = Desk()
    for number, lane in enumerate(("t1", "t2", "t1")):
        desk.offer(transaction(number, lane), 1000 + number)
    portion = desk.plan().portions[WALLET]
    assert (portion.first.event_id, portion.first.lane, portion.first.published_ms) == ("e0", "t1", 1000)
    assert (portion.last.event_id, portion.last.event_type) == ("e2", "transaction_status_changed")


def test_the_latest_state_is_each_destination_s_own() -> None:
    """t1 changed its client: each of the two last heard of it at another event."""
    desk = Desk(ReplaySelection(ALL, latest_state_only=True))
    desk.offer(transaction(0, "t1", "o"))
    desk.offer(transaction(1, "t2", "w"))
    desk.offer(transaction(2, "t1", "w"))
    desk.offer(transaction(3, "t1", "w"))
    plan = desk.plan()
    assert plan.copies == {
        Place(0, 0, 0): (OTHER,),
        Place(0, 1, 1): (BUSINESS, WALLET),
        Place(0, 3, 3): (BUSINESS, WALLET),
    }
    assert plan.portions[BUSINESS].first.event_id == "e1"
    assert plan.portions[BUSINESS].last.event_id == "e3"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["w", "o", None])), max_size=30))
def test_the_latest_states_are_the_last_of_all_states(events: list[tuple[str, str | None]]) -> None:
    whole, latest = Desk(), Desk(ReplaySelection(ALL, latest_state_only=True))
    newest: dict[tuple[str, str], Place] = {}
    for number, (lane, client) in enumerate(events):
        whole.offer(transaction(number, lane, client))
        latest.offer(transaction(number, lane, client))
    for place, destinations in whole.plan().copies.items():
        for destination in destinations:
            newest[destination, events[place.offset][0]] = place
    plan = latest.plan()
    chosen = {
        (destination, events[place.offset][0]): place
        for place, destinations in plan.copies.items()
        for destination in destinations
    }
    assert chosen == newest
    assert plan.copy_count == len(newest)


def test_the_spans_are_no_larger_than_what_is_chosen() -> None:
    desk = Desk(ReplaySelection(ALL, lanes=frozenset({"t"})))
    for lane, partition in (("x", 0), ("t", 0), ("x", 1), ("t", 1), ("t", 0), ("x", 0)):
        desk.offer(transaction(desk.offset, lane), partition=partition)
    assert desk.plan().spans() == {0: (1, 5), 1: (3, 4)}


def test_a_copy_is_the_router_s_with_a_mark() -> None:
    source, value = Source("TRANSACTION", 1, 7, 1000), transaction(0, "t1")
    event = decode(value)
    at = "2026-11-25T10:00:00.000Z"
    copies = copies_of(
        source, value, traceparent=b"00-abc", destinations=(BUSINESS, WALLET), topics=TOPICS, at=at
    )
    headers = [*internal_headers(event, source, b"00-abc"), ("redriven", at.encode())]  # type: ignore[arg-type]
    assert copies == [("to.business", b"t1", value, headers), ("to.wallet", b"t1", value, headers)]


def test_a_copy_is_never_taken_for_a_replay_of_the_router_s() -> None:
    progress = PartitionProgress(0)
    source = Source("TRANSACTION", 0, 7, 1000)
    assert progress.offer(0, source)
    (copy,) = copies_of(
        source, transaction(0, "t1"), traceparent=None, destinations=(WALLET,), topics=TOPICS, at="now"
    )
    origin = read_origin(copy.headers)
    assert origin.source == source
    assert not progress.offer(1, origin.source), "as the router's it would be"
    assert progress.offer(2, origin.source, exempt=origin.redriven is not None)
    assert LaneKey("t1") == copy.key.decode()


@pytest.mark.parametrize(
    ("committed", "metadata", "end"),
    [
        (None, "", 2),  # the router has committed nothing: it begins at the first record
        (5, "", 5),  # 5 is the next one that it routes
        (5, "x", 5),
        (1, "x", 2),  # expired records
        (9, "x", 9),
        (10, "x", 2),  # beyond the end, as the topic was made again: it begins again
        (10, "", 10),  # the embedded broker reports a low end
    ],
)
def test_what_the_router_has_still_to_write_begins_at_its_commit(
    committed: int | None, metadata: str, end: int
) -> None:
    assert routed_end(2, 9, committed, metadata) == end
