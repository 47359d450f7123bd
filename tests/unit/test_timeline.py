"""The timeline of a transaction: how each event stands where, and what is not known."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.breaker import BreakerState
from eventproc.journal_entries import Attempt, DeadLettered, Entry, Invalid, Redriven, Routed, Skipped
from eventproc.pauses import Pause
from eventproc.records import Source
from eventproc.timeline import DestinationTimeline, Reading, State, Timeline, fold, held_up
from tests.unit.test_journal_entries import entries as any_entries

NOW = 1000.0
B, W = "callback-api", "client.acme.sep24"


def source(offset: int = 0, published: float = 0.0) -> Source:
    return Source("TRANSACTION", 0, offset, int(published * 1000))


def routed(event_id: str = "e1", offset: int = 0, *destinations: str, at: float = 1.0) -> Routed:
    place = source(offset)
    return Routed("t", event_id, place, at, "status", "24", "name", destinations or (W,), (), None)


def attempt(
    at: float,
    *,
    status: int | None = 200,
    next_try_at: float | None = None,
    event_id: str = "e1",
    offset: int = 0,
    seconds: float = 0.5,
    number: int = 1,
    redriven: str | None = None,
) -> Attempt:
    outcome = "delivered" if status == 200 else "failed"
    return Attempt(
        *("t", event_id, source(offset), at, W, number, seconds, outcome, None, status, None, next_try_at),
        redriven,
    )


def dead_lettered(at: float) -> DeadLettered:
    return DeadLettered("t", "e1", source(), at, W, "rejected", "HTTP 422", 10, 422)


def read(*entries: Entry, now: float = NOW, reading: Reading | None = None) -> Timeline:
    return fold("t", entries, now, reading or Reading(0.0))


def only(timeline: Timeline) -> DestinationTimeline:
    ((one,),) = [event.destinations for event in timeline.events]
    return one


FAILED = attempt(10, status=503, next_try_at=20)


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([], State.UNDER_WAY),
        ([attempt(10)], State.DELIVERED),
        ([attempt(10, status=503, next_try_at=NOW + 1)], State.WAITING),
        ([FAILED], State.UNDER_WAY),
        ([FAILED, attempt(21, number=2)], State.DELIVERED),
        ([attempt(10, status=503)], State.UNDER_WAY),
        ([attempt(10, status=422), dead_lettered(11)], State.DEAD_LETTERED),
        ([attempt(10, status=422, seconds=5), dead_lettered(11)], State.DEAD_LETTERED),
        ([dead_lettered(11), Redriven("t", "e1", source(), 12, W)], State.UNDER_WAY),
        # The copy's attempts, by a clock that is behind that of the redrive.
        (
            [dead_lettered(9), attempt(10, redriven="2026"), Redriven("t", "e1", source(), 12, W)],
            State.DELIVERED,
        ),
        (
            [
                dead_lettered(9),
                attempt(10, status=500, next_try_at=NOW + 1, redriven="2026"),
                Redriven("t", "e1", source(), 12, W),
            ],
            State.WAITING,
        ),
        ([dead_lettered(11), attempt(13, redriven="2026")], State.DELIVERED),
        ([dead_lettered(11), attempt(13, status=500, next_try_at=NOW + 1, redriven="2026")], State.WAITING),
        ([dead_lettered(11), attempt(13, redriven="2026"), dead_lettered(14)], State.DEAD_LETTERED),
        ([Skipped("t", "e1", source(), 10, W, "stale")], State.SKIPPED),
        ([Skipped("t", "e1", source(), 10, W, "unchanged")], State.SKIPPED),
        # Skipped, not committed, and sent by the next worker, which knows nothing of it.
        ([Skipped("t", "e1", source(), 10, W, "unchanged"), attempt(12)], State.DELIVERED),
        ([Skipped("t", "e1", source(), 10, W, "replay")], State.UNKNOWN),
        ([attempt(10), Skipped("t", "e1", source(), 12, W, "replay")], State.DELIVERED),
        ([FAILED, Skipped("t", "e1", source(), 12, W, "replay"), attempt(21, number=2)], State.DELIVERED),
        # Taken, not committed, and sent again by the next worker, which fails: it is tried until it is taken.
        ([attempt(10), attempt(30, status=500, next_try_at=NOW + 1)], State.WAITING),
    ],
)
def test_how_an_event_stands_is_what_was_noted_last(entries: list[Entry], state: State) -> None:
    one = only(read(routed(), *entries))
    assert one.state is state
    assert list(one.attempts) == [entry for entry in entries if isinstance(entry, Attempt)]
    last = entries[-1] if entries else None
    assert one.skipped_as == (last.why if state is State.SKIPPED and isinstance(last, Skipped) else None)


def test_a_try_that_is_due_keeps_its_time() -> None:
    assert only(read(routed(), FAILED)).next_try_at == 20
    assert only(read(routed(), FAILED, now=15)).state is State.WAITING
    assert only(read(routed(), FAILED, attempt(21, number=2))).next_try_at is None


PAUSE = Pause("ann", "their database moves", "2026-11-24T10:00:00Z")
OPEN = BreakerState.OPEN


@pytest.mark.parametrize(
    ("entries", "hold", "state", "held_by"),
    [
        ([], PAUSE, State.HELD_UP, PAUSE),
        ([FAILED], OPEN, State.HELD_UP, OPEN),
        ([FAILED], BreakerState.HALF_OPEN, State.HELD_UP, BreakerState.HALF_OPEN),
        ([FAILED], BreakerState.CLOSED, State.UNDER_WAY, None),
        ([attempt(10, status=503, next_try_at=NOW + 1)], PAUSE, State.WAITING, PAUSE),
        ([attempt(10)], PAUSE, State.DELIVERED, None),
        ([dead_lettered(11)], OPEN, State.DEAD_LETTERED, None),
        ([Skipped("t", "e1", source(), 10, W, "replay")], OPEN, State.UNKNOWN, None),
    ],
)
def test_what_cannot_start_says_what_it_waits_for(
    entries: list[Entry], hold: Pause | BreakerState, state: State, held_by: Pause | BreakerState | None
) -> None:
    one = only(held_up(read(routed(), *entries), {W: hold, "another": PAUSE}))
    assert (one.state, one.held_by) == (state, held_by)
    assert only(held_up(read(routed(), *entries), {"another": PAUSE})).held_by is None


def test_what_is_behind_another_stays_so_and_the_hold_is_in_the_json() -> None:
    found = held_up(read(routed("e1", 0, W), routed("e2", 1, W)), {W: PAUSE}).to_json()
    first, second = (event["destinations"][0] for event in found["events"])
    said = {"what": "pause", "by": "ann", "reason": PAUSE.reason, "at": PAUSE.at}
    assert (first["state"], first["held_by"]) == ("held_up", said)
    assert (second["state"], second["behind"], second["held_by"]) == ("behind", "e1", said)
    (event,) = held_up(read(routed()), {W: OPEN}).to_json()["events"]
    assert event["destinations"][0]["held_by"] == {"what": "breaker", "state": "open"}


def test_the_last_dead_letter_stays_in_sight_after_a_redrive() -> None:
    one = only(read(routed(), dead_lettered(11), Redriven("t", "e1", source(), 12, W), attempt(13)))
    assert (one.state, one.redriven_at) == (State.DELIVERED, 12)
    assert one.dead_letter == dead_lettered(11)


def test_events_come_in_the_order_in_which_they_were_published() -> None:
    late = routed("b", 1)._replace(source=source(1, published=5))
    timeline = read(late, routed("z", 3), routed("a", 4), Invalid("t", "i", source(2), 9, "no-type", ""))
    assert [event.event_id for event in timeline.events] == ["i", "z", "a", "b"]


def test_an_event_waits_behind_the_first_open_one_of_its_transaction_there_and_not_elsewhere() -> None:
    timeline = read(
        routed("e1", 0, B, W),
        routed("e2", 1, B, W),
        routed("e3", 2, B, W),
        attempt(10, status=503, next_try_at=NOW + 5),
    )
    stands = {
        (e.event_id, one.destination): (one.state, one.behind)
        for e in timeline.events
        for one in e.destinations
    }
    assert stands == {
        ("e1", B): (State.UNDER_WAY, None),
        ("e1", W): (State.WAITING, None),
        ("e2", B): (State.BEHIND, "e1"),
        ("e2", W): (State.BEHIND, "e1"),
        ("e3", B): (State.BEHIND, "e1"),
        ("e3", W): (State.BEHIND, "e1"),
    }


def test_nothing_waits_behind_what_is_settled() -> None:
    timeline = read(routed("e1", 0), routed("e2", 1), attempt(10, status=422), dead_lettered(11))
    assert [one.state for event in timeline.events for one in event.destinations] == [
        State.DEAD_LETTERED,
        State.UNDER_WAY,
    ]


def test_one_id_published_twice_is_two_events() -> None:
    timeline = read(routed(offset=0), routed(offset=1), attempt(10, offset=1))
    assert [only_of(event.destinations).state for event in timeline.events] == [
        State.UNDER_WAY,
        State.DELIVERED,
    ]


def only_of(destinations: tuple[DestinationTimeline, ...]) -> DestinationTimeline:
    (one,) = destinations
    return one


def test_routed_again_after_a_crash_it_is_one_event_at_all_its_destinations() -> None:
    (event,) = read(routed("e1", 0, B, at=1), routed("e1", 0, B, W, at=2)).events
    assert [one.destination for one in event.destinations] == [B, W]
    assert event.first_seen_at == 1


def test_what_is_missing_is_said() -> None:
    reading = Reading(0.0, dropped=3, problems=("only half was read",))
    timeline = read(attempt(10, number=4), reading=reading)
    assert timeline.unknown == (
        "only half was read",
        "workers could not write 3 entries, of whatever transaction, in this time",
        "how event e1 was routed is not in what was read",
        f"earlier attempts of event e1 at {W}: not in what was read",
    )
    assert read(routed(), attempt(10)).unknown == ()
    assert read(routed(), Skipped("t", "e1", source(), 10, W, "replay")).unknown == (
        f"how event e1 went at {W} is not in what was read",
    )


def test_as_json_it_has_everything() -> None:
    found = read(routed("e1", 5, B, W), attempt(10, status=503, next_try_at=2000, offset=5)).to_json()
    (event,) = found.pop("events")
    assert found == {
        "transaction": "t",
        "as_of": "1970-01-01T00:16:40.000Z",
        "since": "1970-01-01T00:00:00.000Z",
        "unknown": [],
    }
    business, wallet = event.pop("destinations")
    assert event == {
        "event_id": "e1",
        "event_type": "status",
        "sep": "24",
        "published_at": "1970-01-01T00:00:00.000Z",
        "source": {"topic": "TRANSACTION", "partition": 0, "offset": 5},
        "routed_at": "1970-01-01T00:00:01.000Z",
        "match": "name",
        "misfit": None,
        "unbuildable": [],
        "invalid": None,
    }
    assert (business["state"], wallet["state"]) == ("under_way", "waiting")
    assert wallet["next_try_at"] == wallet["attempts"][0]["next_try_at"] == "1970-01-01T00:33:20.000Z"


@given(st.lists(any_entries, max_size=12), st.randoms(use_true_random=False))
def test_however_often_and_in_whatever_order_entries_are_read_it_is_the_same(
    entries: list[Entry], chance: random.Random
) -> None:
    # At one and the same moment, the order of reading is all there is to go by.
    steady = [entry._replace(at=float(number)) for number, entry in enumerate(entries)]
    steady = [entry._replace(seconds=0.0) if isinstance(entry, Attempt) else entry for entry in steady]
    mixed = [*steady, *steady[::2]]
    chance.shuffle(mixed)
    timeline = fold("t1", mixed, NOW, Reading(0.0))
    assert timeline == fold("t1", steady, NOW, Reading(0.0))
    json.dumps(timeline.to_json())
    attempts = [a for event in timeline.events for one in event.destinations for a in one.attempts]
    assert sorted(attempts, key=lambda a: a.at) == [entry for entry in steady if isinstance(entry, Attempt)]


@given(st.lists(any_entries, max_size=8), st.floats(0, 4e9))
def test_no_entry_whatever_its_numbers_breaks_the_text(entries: list[Entry], now: float) -> None:
    json.dumps(fold("t1", entries, now, Reading(0.0)).to_json())
