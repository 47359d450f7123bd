"""What waits, what a selection sends, in which order; and which lanes are held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc import dead_letters as dl
from eventproc.dead_letters import DeadLetter, DeadLetterReason, dead_letter_headers, redriven_note
from eventproc.delivery.redriver import send_all
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.records import Headers, Source, destination_key, header_values, source_headers
from eventproc.redrive import (
    Entry,
    HeldIndex,
    Plan,
    Selection,
    Send,
    TopicRecord,
    WaitingLetters,
    in_rounds,
    plan_redrive,
    read_entry,
)

WALLET = DestinationId("client.acme.sep24")
OTHER = DestinationId("client.acme.sep6")
BUSINESS = DestinationId("callback-api")
TOPICS = {
    WALLET: "eventproc.client.acme.sep24",
    OTHER: "eventproc.client.acme.sep6",
    BUSINESS: "eventproc.cb",
}
AT = "2026-11-24T10:00:00.000Z"
NOW = "2026-11-25T00:00:00.000Z"


@dataclass
class Topic:
    """A dead-letter topic of one partition."""

    records: list[TopicRecord] = field(default_factory=list)

    def letter(
        self,
        event_id: str,
        lane: str = "t",
        destination: DestinationId = WALLET,
        *,
        reason: DeadLetterReason = DeadLetterReason.REJECTED,
        redriven: str | None = None,
        at: str = AT,
        attempts: int = 3,
        status: int | None = 422,
    ) -> int:
        original = internal(event_id) + ([] if redriven is None else [("redriven", redriven.encode())])
        letter = DeadLetter(destination, LaneKey(lane), reason, attempts, "HTTP 422", status, b"no")
        return self._add(destination, event_id, event_id.encode(), dead_letter_headers(letter, original, at))

    def note(
        self,
        event_id: str,
        until: int,
        lane: str = "t",
        destination: DestinationId = WALLET,
        place: tuple[int, int] = (0, 100),
    ) -> None:
        self._add(destination, event_id, b"", redriven_note(destination, LaneKey(lane), NOW, until, place))

    def _add(self, destination: DestinationId, event_id: str, value: bytes, headers: Headers) -> int:
        offset = len(self.records)
        self.records.append(TopicRecord(offset, destination_key(destination, event_id), value, headers))
        return offset

    @property
    def waiting(self) -> list[Entry]:
        letters = WaitingLetters()
        for record in self.records:
            letters.add(record)
        return letters.entries()

    @property
    def held(self) -> HeldIndex:
        index = HeldIndex()
        for record in self.records:
            index.apply(record)
        return index


def internal(event_id: str) -> Headers:
    source = source_headers(Source("TRANSACTION", 1, 7, 1_795_500_000_000))
    return [
        ("schema-version", b"1"),
        ("event-id", event_id.encode()),
        ("event-type", b"quote_created"),
        *source,
    ]


def ids(entries: Iterable[Entry]) -> list[str]:
    return [str(entry.event_id) for entry in entries]


def plan(topic: Topic, selection: Selection | None = None) -> Plan:
    return plan_redrive(topic.waiting, selection or Selection(), TOPICS, NOW)


def is_held(index: HeldIndex, lane: str = "t", offset: int = 1000, redriven: str | None = None) -> bool:
    return index.is_held((WALLET, LaneKey(lane)), 0, offset, redriven)


# --- what waits -------------------------------------------------------------------------------------


def test_a_dead_letter_is_read_back_as_it_was_written() -> None:
    topic = Topic()
    topic.letter("e", "lane é", attempts=7)
    (entry,) = topic.waiting
    assert entry == Entry(
        offset=0,
        key=b"client.acme.sep24|e",
        event_id=entry.event_id,
        event_type="quote_created",
        destination=WALLET,
        lane=LaneKey("lane é"),
        reason="rejected",
        detail="HTTP 422",
        attempts=7,
        status=422,
        excerpt=b"no",
        at=datetime(2026, 11, 24, 10, tzinfo=timezone.utc),
        redriven=None,
        value=b"e",
        headers=internal("e"),
    )
    assert entry.event_id == "e"


def test_a_note_ends_the_waiting_and_leaves_the_others() -> None:
    topic = Topic()
    first = topic.letter("a")
    topic.letter("b")
    topic.note("a", first)
    assert ids(topic.waiting) == ["b"]


def test_an_event_at_two_destinations_is_two_entries() -> None:
    topic = Topic()
    first = topic.letter("a", destination=WALLET)
    topic.letter("a", destination=OTHER)
    topic.note("a", first, destination=WALLET)
    assert [entry.destination for entry in topic.waiting] == [OTHER]


def test_a_copy_made_by_a_crash_is_the_same_entry_at_the_place_of_the_first() -> None:
    topic = Topic()
    topic.letter("a", attempts=3)
    topic.letter("b")
    topic.letter("a", attempts=5)
    assert ids(topic.waiting) == ["a", "b"]
    assert topic.waiting[0].attempts == 5
    topic.note("a", topic.waiting[0].offset)
    assert ids(topic.waiting) == ["b"]


def test_an_event_that_fails_again_before_its_note_still_waits() -> None:
    """The worker can be quicker than the redrive: the note is about the first letter only."""
    topic = Topic()
    first = topic.letter("a")
    topic.letter("b")
    topic.letter("a", redriven=NOW)
    topic.note("a", first)
    assert ids(topic.waiting) == ["b", "a"]
    assert topic.waiting[1].redriven == NOW


def test_a_copy_held_behind_its_own_letter_does_not_hide_the_reason() -> None:
    topic = Topic()
    topic.letter("a", reason=DeadLetterReason.REJECTED)
    again = topic.letter("a", reason=DeadLetterReason.HELD, status=None, attempts=0)
    (entry,) = topic.waiting
    assert (entry.reason, entry.status, entry.offset) == ("rejected", 422, again)


def test_a_note_without_an_offset_ends_all_before_it() -> None:
    topic = Topic()
    topic.letter("a")
    topic.letter("a")
    key = destination_key(WALLET, "a")
    topic.records.append(TopicRecord(2, key, b"", [(dl.NOTE, dl.NOTE_REDRIVEN)]))
    assert topic.waiting == []


def test_what_is_no_dead_letter_is_counted_and_left() -> None:
    letters = WaitingLetters()
    letters.add(TopicRecord(0, None, b"hello", []))
    letters.add(TopicRecord(1, b"k", None, [(dl.DESTINATION, b"x")]))
    assert (letters.entries(), letters.foreign) == ([], 2)


@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_headers_of_any_bytes_are_read(attempts: bytes, status: bytes, at: bytes, name: bytes) -> None:
    headers: Headers = [
        (dl.DESTINATION, name),
        (dl.LANE, name),
        (dl.ATTEMPTS, attempts),
        (dl.LAST_STATUS, status),
        (dl.AT, at),
        (dl.REASON, name),
    ]
    entry = read_entry(TopicRecord(0, None, None, headers))
    assert entry is not None
    assert entry.lane == name.decode("utf-8", "replace")


# --- what a selection sends -------------------------------------------------------------------------


def various() -> Topic:
    topic = Topic()
    topic.letter("a", "t1", WALLET, at="2026-11-24T10:00:00Z")
    topic.letter("b", "t2", OTHER, at="2026-11-24T11:00:00Z", status=400)
    topic.letter(
        "c", "t1", BUSINESS, at="2026-11-24T12:00:00Z", reason=DeadLetterReason.FAILED_WHILE_OTHERS_PASS
    )
    topic.letter("d", "t3", WALLET, at="not a time", status=None)
    return topic


def at_hour(hour: int) -> datetime:
    return datetime(2026, 11, 24, hour, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), "abcd"),
        (Selection(event_ids=("a", "d")), "ad"),
        (Selection(transaction_ids=("t1",)), "ac"),
        (Selection(destinations=("client.acme",)), "abd"),
        (Selection(destinations=("client.acme.sep24",)), "ad"),
        (Selection(destinations=("client.acm",)), ""),
        (Selection(since=at_hour(11)), "bc"),
        (Selection(until=at_hour(11)), "ab"),
        (Selection(since=at_hour(11), until=at_hour(11)), "b"),
        (Selection(statuses=(400,)), "b"),
        (Selection(reasons=("failed-while-others-pass",)), "c"),
        (Selection(transaction_ids=("t1",), destinations=("client.acme",)), "a"),
        (Selection(keys=(b"client.acme.sep24|d", b"client.acme.sep6|b", b"client.acme.sep6|d")), "bd"),
    ],
)
def test_a_selection_means_every_kind_named_and_any_of_each(selection: Selection, expected: str) -> None:
    assert "".join(ids(entry for entry in various().waiting if selection.matches(entry))) == expected
    assert selection.is_everything == (selection == Selection())


def test_what_is_sent_is_the_internal_record_and_the_mark() -> None:
    topic = Topic()
    topic.letter("e", "t", redriven="2026-01-01T00:00:00Z")
    (send,) = plan(topic).sends
    assert (send.topic, send.key, send.value) == (TOPICS[WALLET], b"t", b"e")
    assert send.headers == [*internal("e"), ("redriven", NOW.encode())]


def test_an_event_that_would_overtake_an_earlier_one_is_reported() -> None:
    topic = Topic()
    for event_id in "abc":
        topic.letter(event_id, "t")
    topic.letter("d", "another")
    made = plan(topic, Selection(event_ids=("b", "c", "d")))
    assert [(gap.entry.event_id, gap.earlier.event_id) for gap in made.gaps] == [("b", "a"), ("c", "a")]
    assert plan(topic, Selection(event_ids=("a", "b"))).gaps == []


def test_the_same_transaction_elsewhere_is_no_gap() -> None:
    topic = Topic()
    topic.letter("a", "t", WALLET)
    topic.letter("b", "t", BUSINESS)
    assert plan(topic, Selection(event_ids=("b",))).gaps == []


def test_a_destination_that_nobody_serves_is_refused_with_the_reason() -> None:
    topic = Topic()
    topic.letter(
        "a", destination=DestinationId("client.acme"), reason=DeadLetterReason.CANNOT_BUILD, attempts=0
    )
    topic.letter("b", destination=DestinationId("client.gone.sep24"))
    topic.letter("c")
    made = plan(topic)
    assert [refusal.entry.event_id for refusal in made.refusals] == ["a", "b"]
    assert "client.acme has no endpoint for it" in made.refusals[0].why
    assert "client.gone.sep24 is not in the configuration" in made.refusals[1].why
    assert ids(send.entry for send in made.sends) == ["c"]


class Op(NamedTuple):
    """A dead letter (``copies_back`` 0) or a note about the copy that many letters back."""

    event: int
    copies_back: int


OPS = st.lists(st.builds(Op, st.integers(0, 7), st.integers(0, 3)), max_size=40)


def lane_of(event: int) -> str:
    return f"t{event % 3}"


def played(ops: Sequence[Op]) -> tuple[Topic, dict[int, list[int]]]:
    """The topic, and by event the offsets of its letters that no note has named."""
    topic = Topic()
    written: dict[int, list[int]] = {}
    alive: dict[int, list[int]] = {}
    for event, copies_back in ops:
        offsets = written.setdefault(event, [])
        if copies_back and len(offsets) >= copies_back:
            until = offsets[-copies_back]
            topic.note(f"e{event}", until, lane_of(event))
            alive[event] = [offset for offset in alive[event] if offset > until]
        else:
            offsets.append(topic.letter(f"e{event}", lane_of(event)))
            alive.setdefault(event, []).append(offsets[-1])
    return topic, {event: offsets for event, offsets in alive.items() if offsets}


@given(OPS)
def test_what_no_note_names_waits_in_the_order_of_the_topic(ops: list[Op]) -> None:
    topic, alive = played(ops)
    expected = sorted(alive, key=lambda event: alive[event][0])
    assert ids(topic.waiting) == [f"e{event}" for event in expected]


@given(OPS)
def test_a_lane_is_held_exactly_while_something_of_it_waits(ops: list[Op]) -> None:
    topic, alive = played(ops)
    lanes = {lane_of(event) for event in alive}
    assert {lane for lane in ("t0", "t1", "t2") if is_held(topic.held, lane)} == lanes


@given(OPS, st.sets(st.integers(0, 7)))
def test_without_gaps_each_transaction_goes_from_its_first_on(ops: list[Op], chosen: set[int]) -> None:
    topic, _ = played(ops)
    made = plan(topic, Selection(event_ids=[f"e{event}" for event in chosen] or ["none"]))
    with_gaps = {gap.entry.lane for gap in made.gaps}
    for lane in ("t0", "t1", "t2"):
        waiting = ids(entry for entry in topic.waiting if entry.lane == lane)
        sent = ids(send.entry for send in made.sends if send.entry.lane == lane)
        assert sent == [event_id for event_id in waiting if int(event_id[1:]) in chosen]
        assert (sent == waiting[: len(sent)]) == (lane not in with_gaps)


@given(OPS, st.integers(1, 5))
def test_rounds_keep_the_order_and_never_hold_two_of_a_transaction(ops: list[Op], size: int) -> None:
    sends = plan(played(ops)[0]).sends
    rounds = list(in_rounds(sends, size))
    in_order = [send for group in rounds for send in group]
    assert len(in_order) == len(sends)
    for lane in ("t0", "t1", "t2"):
        assert [one for one in in_order if one.entry.lane == lane] == [
            s for s in sends if s.entry.lane == lane
        ]
    for group in rounds:
        assert 1 <= len(group) <= size
        assert len({send.entry.lane_id for send in group}) == len(group)


# --- which lanes are held ---------------------------------------------------------------------------


def test_a_redriven_event_passes_the_hold_that_it_is_to_end() -> None:
    topic = Topic()
    topic.letter("a")
    topic.letter("b")
    assert is_held(topic.held)
    assert not is_held(topic.held, redriven=NOW)


def test_a_redriven_event_is_held_when_an_earlier_one_of_the_same_redrive_failed_again() -> None:
    topic = Topic()
    first = topic.letter("a")
    topic.letter("b")
    topic.note("a", first)
    topic.letter("a", redriven=NOW)
    assert is_held(topic.held, redriven=NOW)
    assert not is_held(topic.held, redriven="2026-12-01T00:00:00.000Z"), "the next redrive sends both"


def test_what_stands_before_the_redriven_event_does_not_overtake_it() -> None:
    topic = Topic()
    first = topic.letter("a")
    topic.note("a", first, place=(0, 50))
    assert is_held(topic.held, offset=49)
    assert not is_held(topic.held, offset=51)
    assert not topic.held.is_held((WALLET, LaneKey("t")), 1, 49, None), "another partition tells nothing"


def test_a_letter_holds_its_lane_before_it_is_read_back_and_not_after_its_redrive() -> None:
    topic = Topic()
    first = topic.letter("a")
    topic.note("a", first, place=(0, 0))
    index = HeldIndex()
    index.announce((WALLET, LaneKey("t")), "a", None)
    assert is_held(index)
    for record in topic.records:
        index.apply(record)
    assert not is_held(index)


def test_a_letter_that_was_not_written_holds_nothing() -> None:
    index = HeldIndex()
    index.announce((WALLET, LaneKey("t")), "a", None)
    index.retract((WALLET, LaneKey("t")), "a", None)
    index.retract((WALLET, LaneKey("t")), "a", None)
    assert not is_held(index)


# --- sending ----------------------------------------------------------------------------------------


@dataclass
class Placed:
    partition: int
    offset: int


@dataclass
class FakeProducer:
    """Acknowledges at the next turn of the loop; ``failing`` records by value never."""

    failing: tuple[bytes, ...] = ()
    log: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        name = (value or b"note of " + (key or b"").partition(b"|")[2]).decode()
        self.log.append(name)
        self.headers.append(headers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._end, future, name, value)
        return future

    def _end(self, future: asyncio.Future[Any], name: str, value: bytes | None) -> None:
        if value in self.failing:
            future.set_exception(ConnectionError(name))
            return
        self.log.append(f"{name} acknowledged")
        future.set_result(Placed(2, len(self.log)))


def sends_of(topic: Topic) -> list[Send]:
    return plan(topic).sends


async def test_the_event_is_acknowledged_before_its_note_is_written() -> None:
    topic = Topic()
    topic.letter("a", "t")
    topic.letter("b", "t")
    producer, progress = FakeProducer(), list[int]()
    await send_all(sends_of(topic), producer, "dead", NOW, progress.append)
    steps = ("{0}", "{0} acknowledged", "note of {0}", "note of {0} acknowledged")
    assert producer.log == [step.format(event_id) for event_id in "ab" for step in steps]
    assert progress == [1, 2]


async def test_a_note_names_its_letter_and_the_new_place() -> None:
    topic = Topic()
    topic.letter("x", "u")
    topic.letter("a", "t")
    producer = FakeProducer()
    (_, send) = sends_of(topic)
    await send_all([send], producer, "dead", NOW, lambda _: None)
    note = dict(producer.headers[1])
    assert (note[dl.NOTE], note[dl.NOTE_UNTIL], note[dl.NOTE_PARTITION], note[dl.NOTE_OFFSET]) == (
        b"redriven",
        b"1",
        b"2",
        b"2",
    )


async def test_what_fails_gets_no_note_and_nothing_of_its_transaction_follows() -> None:
    topic = Topic()
    topic.letter("good", "u")
    topic.letter("bad", "t")
    topic.letter("later", "t")
    producer, progress = FakeProducer(failing=(b"bad",)), list[int]()
    sent: list[Entry] = []
    with pytest.raises(ConnectionError):
        await send_all(sends_of(topic), producer, "dead", NOW, progress.append, sent=sent.append)
    assert [entry.event_id for entry in sent] == ["good"]
    assert [step for step in producer.log if "acknowledged" not in step] == ["good", "bad", "note of good"]
    assert progress == [1]


async def test_what_the_redriver_writes_is_what_the_fold_reads() -> None:
    topic = Topic()
    for number in range(250):
        topic.letter(f"e{number}", f"t{number % 7}")
    producer = FakeProducer()
    sends = sends_of(topic)
    await send_all(sends, producer, "dead", NOW, lambda _: None)
    notes = [headers for headers in producer.headers if dict(headers).get(dl.NOTE)]
    by_event = {send.entry.offset: send.entry.key for send in sends}
    for headers in notes:
        key = by_event[int(header_values(headers)[dl.NOTE_UNTIL])]
        topic.records.append(TopicRecord(len(topic.records), key, b"", headers))
    assert topic.waiting == []
    assert not any(is_held(topic.held, f"t{number}", offset=10**6) for number in range(7))


def test_times_bound_inclusively_to_the_millisecond() -> None:
    topic = Topic()
    topic.letter("a", at="2026-11-24T10:00:00.123Z")
    (entry,) = topic.waiting
    assert entry.at is not None
    assert Selection(since=entry.at, until=entry.at).matches(entry)
    assert not Selection(since=entry.at + timedelta(milliseconds=1)).matches(entry)
