"""What waits, what a selection sends, in which order; and which lanes are held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from hypothesis import given
from hypothesis import strategies as st

from eventproc import dead_letters as dl
from eventproc.dead_letters import (
    DeadLetter,
    DeadLetterReason,
    LetterId,
    dead_letter_headers,
    letter_id,
    record_place,
    redriven_note,
)
from eventproc.delivery.redriver import send_all
from eventproc.held_index import HeldIndex
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.letter_fold import TopicPlace
from eventproc.records import Headers, Source, header_values, source_headers
from eventproc.redrive import (
    Entry,
    LetterEnd,
    Plan,
    RefusedLettersError,
    Selection,
    Send,
    StalePlanError,
    TopicRecord,
    WaitingLetters,
    in_rounds,
    plan_redrive,
    read_entry,
    read_id,
    still_waiting,
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
        headers = redriven_note(destination, LaneKey(lane), NOW, (0, until), place)
        self._add(destination, event_id, b"", headers)

    def _add(self, destination: DestinationId, event_id: str, value: bytes, headers: Headers) -> int:
        offset = len(self.records)
        self.records.append(TopicRecord(offset, key_of(destination, event_id), value, headers))
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


def source_of(event_id: str) -> Source:
    """Where the anchor published it: events of different names stand at different places."""
    return Source("TRANSACTION", 1, int.from_bytes(event_id.encode(), "big"), 1_795_500_000_000)


def key_of(destination: DestinationId, event_id: str) -> bytes:
    return letter_id(destination, internal(event_id), ("", 0, 0)).key


def internal(event_id: str) -> Headers:
    source = source_headers(source_of(event_id))
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
        key=b"client.acme.sep24|TRANSACTION/1/101",
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
        id=LetterId(WALLET, "TRANSACTION", 1, 101, 1_795_500_000_000),
        ends=(LetterEnd(b"client.acme.sep24|TRANSACTION/1/101", TopicPlace(0, 0)),),
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
    key = key_of(WALLET, "a")
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
        (Selection(places=("TRANSACTION/1/100", "TRANSACTION/1/98", "TRANSACTION/0/98")), "bd"),
        (
            Selection(
                ids=[
                    f"{at}|TRANSACTION/1/{offset}/1795500000000"
                    for at, offset in ((WALLET, 100), (OTHER, 98), (OTHER, 100))
                ]
            ),
            "bd",
        ),
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
    """Acknowledges at the next turn of the loop; ``failing`` records by value never, and not ``too_large`` ones."""

    failing: tuple[bytes, ...] = ()
    too_large: tuple[bytes, ...] = ()
    events: dict[bytes, bytes] = field(default_factory=dict)
    """By a letter's key its event's name."""
    log: list[str] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        name = (value or b"note of " + self.events.get(key or b"", b"")).decode()
        self.log.append(name)
        self.headers.append(headers)
        self.keys.append(key or b"")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._end, future, name, value)
        return future

    def _end(self, future: asyncio.Future[Any], name: str, value: bytes | None) -> None:
        if value in self.failing or value in self.too_large:
            future.set_exception(
                ConnectionError(name) if value in self.failing else MessageSizeTooLargeError(name)
            )
            return
        self.log.append(f"{name} acknowledged")
        future.set_result(Placed(2, len(self.log)))


def names(topic: Topic) -> dict[bytes, bytes]:
    return {record.key or b"": record.value or b"" for record in topic.records}


def sends_of(topic: Topic) -> list[Send]:
    return plan(topic).sends


async def test_the_event_is_acknowledged_before_its_note_is_written() -> None:
    topic = Topic()
    topic.letter("a", "t")
    topic.letter("b", "t")
    producer, progress = FakeProducer(events=names(topic)), list[int]()
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
    producer, progress = FakeProducer(failing=(b"bad",), events=names(topic)), list[int]()
    sent: list[Entry] = []
    with pytest.raises(ConnectionError):
        await send_all(sends_of(topic), producer, "dead", NOW, progress.append, sent=sent.append)
    assert [entry.event_id for entry in sent] == ["good"]
    assert [step for step in producer.log if "acknowledged" not in step] == ["good", "bad", "note of good"]
    assert progress == [1]


async def test_a_letter_too_large_for_its_topic_waits_on_with_its_transaction_and_stops_no_other() -> None:
    topic = Topic()
    topic.letter("large", "t")
    for number in range(250):
        topic.letter(f"e{number}", f"u{number}")
    topic.letter("after", "t")
    producer, progress = FakeProducer(too_large=(b"large",), events=names(topic)), list[int]()
    sent: list[Entry] = []

    with pytest.raises(
        RefusedLettersError, match="1 later ones of the same transactions wait, too"
    ) as caught:
        await send_all(sends_of(topic), producer, "dead", NOW, progress.append, sent=sent.append)

    assert [entry.event_id for entry in caught.value.refused] == ["large"]
    assert sorted(entry.event_id for entry in sent) == sorted(f"e{number}" for number in range(250))
    assert not {"after", "note of large", "note of after"} & set(producer.log)
    assert progress[-1] == 250


async def test_what_the_redriver_writes_is_what_the_fold_reads() -> None:
    topic = Topic()
    for number in range(250):
        topic.letter(f"e{number}", f"t{number % 7}")
    producer = FakeProducer()
    sends = sends_of(topic)
    await send_all(sends, producer, "dead", NOW, lambda _: None)
    notes = [headers for headers in producer.headers if header_values(headers).get(dl.NOTE)]
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


# --- one event id, many records ---------------------------------------------------------------------


class Published(NamedTuple):
    """A letter of the record at this offset of the source; ``old`` as earlier versions keyed it."""

    offset: int
    old: bool


def write_letter(topic: Topic, one: Published, value: bytes, *, event_id: str = "same") -> None:
    """Every record has the same event id."""
    source = Source("TRANSACTION", 0, one.offset, 1_795_500_000_000)
    original: Headers = [("event-id", event_id.encode()), *source_headers(source)]
    letter = DeadLetter(WALLET, LaneKey("t"), DeadLetterReason.REJECTED, 3, "HTTP 422", 422, b"no")
    key = f"{WALLET}|{event_id}".encode() if one.old else letter_id(WALLET, original, ("eventproc", 0, 0)).key
    headers = dead_letter_headers(letter, original, AT)
    topic.records.append(TopicRecord(len(topic.records), key, value, headers))


async def redrive(topic: Topic, sends: Sequence[Send]) -> list[bytes | None]:
    """Send, and write the notes into the topic: the values that were sent."""
    producer = FakeProducer()
    await send_all(sends, producer, "dead", NOW, lambda _: None)
    for key, headers in zip(producer.keys, producer.headers, strict=True):
        if header_values(headers).get(dl.NOTE):
            topic.records.append(TopicRecord(len(topic.records), key, b"", headers))
    return [send.value for send in sends]


@given(
    st.lists(st.builds(Published, st.integers(0, 3), st.booleans()), max_size=12),
    st.sets(st.integers(0, 3)),
    st.lists(st.builds(Published, st.integers(0, 3), st.booleans()), max_size=4),
)
async def test_each_selected_record_is_sent_once_whatever_its_event_id(
    letters: list[Published], chosen: set[int], late: list[Published]
) -> None:
    topic = Topic()
    for one in letters:
        write_letter(topic, one, b"%d" % one.offset)
    waiting = {one.offset for one in letters}
    assert sorted(entry.id.offset for entry in topic.waiting) == sorted(waiting)
    made = plan(topic, Selection(places=[f"TRANSACTION/0/{offset}" for offset in chosen] or ["none"]))
    for one in late:
        write_letter(topic, one, b"%d" % one.offset)
    sent = await redrive(topic, made.sends)
    assert sorted(sent, key=str) == [b"%d" % offset for offset in sorted(chosen & waiting)]
    left = {entry.id.offset for entry in topic.waiting}
    assert left == (waiting - chosen) | {one.offset for one in late}
    assert is_held(topic.held) == bool(left)
    await redrive(topic, plan(topic).sends)
    assert topic.waiting == []
    assert not is_held(topic.held, offset=10**6)


def test_a_note_of_an_earlier_version_takes_off_only_the_letter_that_it_names() -> None:
    """Those versions sent one of three letters with one id, and took all three off the list."""
    topic = Topic()
    for offset in (7, 8, 9, 9):
        write_letter(topic, Published(offset, old=True), b"x")
    note = [
        header
        for header in redriven_note(WALLET, LaneKey("t"), NOW, (0, 3), (0, 5))
        if header[0] != dl.NOTE_LETTER_PARTITION
    ]
    topic.records.append(TopicRecord(4, topic.records[0].key, b"", note))
    assert [entry.id.offset for entry in topic.waiting] == [7, 8]
    assert is_held(topic.held, offset=1000)


def test_records_of_a_topic_that_was_made_again_are_others() -> None:
    """Offsets begin at 0 again; the timestamps differ."""
    topic = Topic()
    for timestamp_ms in (1_000, 2_000):
        original: Headers = [("event-id", b"e"), *source_headers(Source("TRANSACTION", 0, 0, timestamp_ms))]
        letter = DeadLetter(WALLET, LaneKey("t"), DeadLetterReason.REJECTED, 1, "", 422, b"")
        key = letter_id(WALLET, original, ("", 0, 0)).key
        topic.records.append(
            TopicRecord(len(topic.records), key, b"x", dead_letter_headers(letter, original, AT))
        )
    assert len(topic.waiting) == 2


def test_a_record_that_names_no_source_is_identified_by_its_own_place() -> None:
    letter = DeadLetter(WALLET, LaneKey("t"), DeadLetterReason.REJECTED, 1, "", 422, b"")
    headers = dead_letter_headers(letter, [("event-id", b"e")], AT)
    with_place = [*headers, record_place(("eventproc.client.acme.sep24", 2, 5))]
    ids_ = [
        read_id(TopicRecord(0, b"k", b"x", headers)),
        read_id(TopicRecord(1, b"k", b"x", headers)),
        read_id(TopicRecord(2, b"k", b"x", with_place)),
        read_id(TopicRecord(3, b"k", b"x", with_place)),
    ]
    assert [one.place for one in ids_ if one is not None] == [
        "dead-letter/0/0",
        "dead-letter/0/1",
        *2 * ("eventproc.client.acme.sep24/2/5",),
    ]
    entry = read_entry(TopicRecord(2, b"k", b"x", with_place))
    assert entry is not None
    assert entry.headers == [("event-id", b"e")], "what was added goes before it is sent again"


async def test_a_redrive_that_was_killed_leaves_what_was_sent_without_a_note_waiting() -> None:
    topic = Topic()
    for name in "abc":
        topic.letter(name, lane=name)
    first, *_ = sends_of(topic)
    await redrive(topic, [first])
    # b was sent, and the program killed before its note.
    assert ids(topic.waiting) == ["b", "c"]
    assert [send.value for send in sends_of(topic)] == [b"b", b"c"]


def test_a_plan_is_stale_once_another_redrive_has_taken_off_one_of_its_letters() -> None:
    topic = Topic()
    first = topic.letter("a")
    topic.letter("b")
    sends = sends_of(topic)
    again = topic.letter("a")
    topic.letter("c")
    fresh = still_waiting(sends, topic.waiting)
    assert [send.value for send in fresh] == [b"a", b"b"], "what came meanwhile is not sent"
    assert fresh[0].entry.ends[0].place.offset == again, "but a copy of what is sent is taken off with it"
    topic.note("a", again)
    with pytest.raises(StalePlanError, match="1 of 2 dead letters"):
        still_waiting(sends, topic.waiting)
    topic.letter("a", redriven=NOW)
    with pytest.raises(StalePlanError):
        still_waiting(sends, topic.waiting)
    assert first == 0


async def test_sending_ends_between_two_rounds_when_the_operator_stops_it() -> None:
    topic = Topic()
    for name in "abc":
        topic.letter(name, lane="t")
    producer = FakeProducer()

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await send_all(sends_of(topic), producer, "dead", NOW, stop)
    for key, headers in zip(producer.keys, producer.headers, strict=True):
        if header_values(headers).get(dl.NOTE):
            topic.records.append(TopicRecord(len(topic.records), key, b"", headers))
    assert ids(topic.waiting) == ["c"]
