"""The text from which a replay goes on, and what follows it."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.customer_index import CustomerIndex
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientRule
from eventproc.payloads import Sep
from eventproc.records import Source
from eventproc.replay import Planner, ReplayPlan, ReplaySelection
from eventproc.replay_point import Rest, ResumePoint, ResumePointError, read_point
from eventproc.routing import RoutingTable

BUSINESS, WALLET = DestinationId("callback-api"), DestinationId("client.w.sep24")
TABLE = RoutingTable([ClientRule("w", endpoints={Sep.SEP24: WALLET})], BUSINESS)
INT64 = st.integers(-(2**63), 2**63 - 1)


def event(number: int, lane: str) -> bytes:
    members = {"id": lane, "sep": "24", "kind": "deposit", "status": "completed", "client_name": "w"}
    return json.dumps(
        {"type": "transaction_status_changed", "id": f"e{number}", "transaction": members}
    ).encode()


def plan(records: list[tuple[Source, bytes]], selection: ReplaySelection) -> ReplayPlan:
    planner = Planner(TABLE, CustomerIndex(), selection, 10_000)
    for source, value in records:
        planner.offer(source, value)
    return planner.plan()


@given(
    st.text(max_size=40),
    st.dictionaries(st.integers(0, 1000), st.tuples(INT64, INT64), max_size=5),
    st.tuples(st.none() | INT64, st.none() | INT64),
    st.lists(st.text(max_size=10), max_size=3),
    st.booleans(),
)
def test_a_text_holds_the_whole_point(
    at: str,
    spans: dict[int, tuple[int, int]],
    times: tuple[int | None, int | None],
    names: list[str],
    latest: bool,
) -> None:
    point = ResumePoint(
        at, Rest(spans, 3, 7, 2**64 - 1), *times, tuple(names), ("client.*",), tuple(names), latest
    )
    text = point.text()
    assert read_point(text) == point
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ResumePointError):
        read_point(text)


@pytest.mark.parametrize("end", range(len(ResumePoint("2026", Rest({0: (1, 2)})).text())))
def test_a_text_that_was_cut_is_refused(end: int) -> None:
    with pytest.raises(ResumePointError):
        read_point(ResumePoint("2026", Rest({0: (1, 2)})).text()[:end])


@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 40))
def test_wherever_a_replay_ends_its_rest_follows(seed: int, latest_state_only: bool, behind: int) -> None:
    """Two partitions side by side; records are added behind those that were planned."""
    rng = random.Random(seed)
    records: list[tuple[Source, bytes]] = []
    ends = [0, 0]
    for number in range(40):
        partition = rng.randrange(2)
        records.append(
            (Source("T", partition, ends[partition], number), event(number, f"t{rng.randrange(6)}"))
        )
        ends[partition] += rng.choice([1, 1, 3])
    shown, later = records[: 40 - behind // 2], records
    selection = ReplaySelection(frozenset({BUSINESS, WALLET}), 5, None, latest_state_only=latest_state_only)
    whole = plan(shown, selection)
    rest = Rest.of_plan(whole)
    sent = rng.randrange(len(whole.copies) + 1) if whole.copies else 0
    for place, destinations in sorted(whole.copies.items(), key=lambda one: one[0].timestamp_ms)[:sent]:
        rest.take(place, destinations)
    found = plan(later, replace(selection, spans=rest.spans))
    rest.require(Rest.of_plan(found))
    left = sorted(whole.copies, key=lambda place: place.timestamp_ms)[sent:]
    assert sorted(found.copies, key=lambda place: place.timestamp_ms) == left


@pytest.mark.parametrize("change", ["another destination", "another time", "one less"])
def test_another_rest_is_noticed(change: str) -> None:
    records = [(Source("T", 0, number, number), event(number, "t")) for number in range(3)]
    selection = ReplaySelection(frozenset({BUSINESS, WALLET}))
    if change == "another destination":
        other = plan(records, replace(selection, destinations=frozenset({WALLET})))
    elif change == "another time":
        other = plan([*records[:2], (Source("T", 0, 2, 99), event(2, "t"))], selection)
    else:
        other = plan(records[1:], selection)
    with pytest.raises(ResumePointError, match="3 events in 6 copies were left"):
        Rest.of_plan(plan(records, selection)).require(Rest.of_plan(other))
