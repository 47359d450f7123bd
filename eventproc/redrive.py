"""Step 12 – redrive: which dead letters still wait, which of them are meant, and how they are sent again.

::

    dead-letter topic   A1  A2  B1  note(A1)  A1'      (A1' : A1 was redriven and failed again)
    waiting                 A2  B1            A1'

A dead letter waits until a note names it (``letter_fold.py``). Copies of one that a crash made double are one
entry, at the place of the first copy that still waits. Entries keep the topic's order, which is the order of
each transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from eventproc import dead_letters as dl
from eventproc.dead_letters import DeadLetterReason, LetterId, letter_id, read_integer
from eventproc.destination_patterns import stands_for
from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId, EventId, LaneKey
from eventproc.letter_fold import Copy, LetterFold, TopicPlace
from eventproc.records import REDRIVEN, Headers, header_values, read_origin
from eventproc.times import read_time

_OURS: Final = frozenset(
    {
        dl.DESTINATION,
        dl.LANE,
        dl.REASON,
        dl.ATTEMPTS,
        dl.LAST_STATUS,
        dl.EXCERPT,
        dl.AT,
        dl.RECORD,
        REDRIVEN,
    }
)
ROUNDS_AT_ONCE: Final = 10


class StalePlanError(EventprocError):
    """What was planned is not what waits any more."""


class RefusedLettersError(EventprocError):
    """Kafka refuses these as too large; every other one of the plan was sent, save what must follow them."""

    def __init__(self, refused: Sequence[Entry], following: int) -> None:
        self.refused = tuple(refused)
        self.following = following
        places = ", ".join(f"{one.id.place or one.event_id} of {one.destination}" for one in refused[:5])
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        after = f"; {following} later ones of the same transactions wait, too" if following else ""
        super().__init__(
            f"Too large for the destination's topic, and still waiting: {places}{more}{after}. Raise "
            "max.message.bytes of the topic (and topics.max_message_bytes), and redrive them again."
        )


LaneId: TypeAlias = tuple[DestinationId, LaneKey]
"""One transaction at one destination."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record of the dead-letter topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int = 0


class LetterEnd(NamedTuple):
    """The newest copy of a letter that has this key and stands in this partition."""

    key: bytes
    place: TopicPlace


@dataclass(frozen=True, slots=True)
class Entry:
    """One dead letter that waits; ``offset`` is that of its newest copy.

    ``headers`` are those of the internal record, without what the dead letter added; ``at`` is None when the
    header cannot be read; ``redriven`` tells when it was redriven before, if it was. ``ends`` has what a note
    must name to take off all copies: the newest one of each key and partition.
    """

    offset: int
    key: bytes
    event_id: EventId
    event_type: str
    destination: DestinationId
    lane: LaneKey
    reason: str
    detail: str
    attempts: int | None
    status: int | None
    excerpt: bytes
    at: datetime | None
    redriven: str | None
    value: bytes | None
    headers: Headers
    id: LetterId
    ends: tuple[LetterEnd, ...]

    @property
    def lane_id(self) -> LaneId:
        """The transaction at its destination."""
        return self.destination, self.lane


class WaitingLetters:
    """Folds the dead-letter topic, read from its start, into what still waits."""

    def __init__(self) -> None:
        self.foreign = 0
        """Records that are neither a dead letter nor a note."""
        self._fold: LetterFold[tuple[int, Entry]] = LetterFold()
        self._read = 0

    def add(self, record: TopicRecord) -> None:
        """Take the next record; those of one key in the topic's order."""
        self._read += 1
        headers = header_values(record.headers)
        if dl.NOTE in headers:
            self._fold.take_off(record.key or b"", record.partition, headers)
        elif (entry := read_entry(record)) is None:
            self.foreign += 1
        else:
            place = TopicPlace(record.partition, record.offset)
            self._fold.add(entry.key, Copy(entry.id, place, (self._read, entry)))

    def entries(self) -> list[Entry]:
        """What waits, in the topic's order."""
        by_letter: dict[LetterId, tuple[int, Entry]] = {}
        for read, entry in sorted((copy.kept for copy in self._fold), key=itemgetter(0)):
            first = by_letter.get(entry.id)
            by_letter[entry.id] = (read, entry) if first is None else (first[0], _merged(first[1], entry))
        return [entry for _, entry in sorted(by_letter.values(), key=itemgetter(0))]


def _merged(entry: Entry, copy: Entry) -> Entry:
    """One entry of a letter and a later copy of it."""
    (end,) = copy.ends
    others = (one for one in entry.ends if (one.key, one.place.partition) != (end.key, end.place.partition))
    ends = (*others, end)
    if copy.reason == DeadLetterReason.HELD.value and copy.redriven == entry.redriven:
        # After a crash an event can be held behind its own dead letter: the first copy has the reason.
        return replace(entry, offset=copy.offset, key=copy.key, ends=ends)
    return replace(copy, ends=ends)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant: of each kind any one named, of all kinds named every one; none named: all.

    Destinations are named as in ``destination_patterns.py``, places and ids as in ``LetterId``. The times
    bound when it became a dead letter, both inclusive.
    """

    event_ids: Collection[str] = ()
    transaction_ids: Collection[str] = ()
    destinations: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    statuses: Collection[int] = ()
    reasons: Collection[str] = ()
    places: Collection[str] = ()
    ids: Collection[str] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is named."""
        named = (self.event_ids, self.transaction_ids, self.destinations, self.statuses, self.reasons)
        return not any((*named, self.places, self.ids, self.since, self.until))

    def matches(self, entry: Entry) -> bool:
        """Whether this entry is meant."""
        return (
            (not self.event_ids or entry.event_id in self.event_ids)
            and (not self.transaction_ids or entry.lane in self.transaction_ids)
            and (not self.destinations or self._is_at(entry.destination))
            and (not self.statuses or entry.status in self.statuses)
            and (not self.reasons or entry.reason in self.reasons)
            and (not self.places or entry.id.place in self.places)
            and (not self.ids or entry.id.text in self.ids)
            and self._is_in_time(entry.at)
        )

    def _is_at(self, destination: str) -> bool:
        return any(stands_for(one, destination) for one in self.destinations)

    def _is_in_time(self, at: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if at is None:
            return False
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class Send:
    """One entry on its way back: the record for its destination's topic."""

    entry: Entry
    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that cannot be sent again, and why."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """An entry that would overtake ``earlier``, which waits and is not selected."""

    entry: Entry
    earlier: Entry


@dataclass(frozen=True, slots=True)
class Plan:
    """What a redrive would do; ``at`` marks every event of it, so that a receiver knows them."""

    at: str
    sends: list[Send]
    refusals: list[Refusal]
    gaps: list[Gap]


def plan_redrive(
    waiting: Sequence[Entry], selection: Selection, topics: Mapping[DestinationId, str], at: str
) -> Plan:
    """What to send for a selection, in order.

    Args:
        waiting: everything that waits, in the topic's order.
        selection: which of it.
        topics: the topic of every destination that is configured.
        at: the time of this redrive, ISO-8601 UTC.
    """
    plan = Plan(at, [], [], [])
    left_out: dict[LaneId, Entry] = {}
    for entry in waiting:
        if not selection.matches(entry):
            left_out.setdefault(entry.lane_id, entry)
            continue
        if (earlier := left_out.get(entry.lane_id)) is not None:
            plan.gaps.append(Gap(entry, earlier))
        topic = topics.get(entry.destination)
        if topic is None:
            plan.refusals.append(Refusal(entry, _why_not(entry)))
        else:
            headers: Headers = [*entry.headers, (REDRIVEN, at.encode())]
            key = entry.lane.encode("utf-8", "replace")
            plan.sends.append(Send(entry, topic, key, entry.value, headers))
    return plan


def still_waiting(sends: Sequence[Send], waiting: Iterable[Entry]) -> list[Send]:
    """The same sends, with the copies that were written since they were planned.

    Raises:
        StalePlanError: one of them waits no longer, or was redriven and has failed again.
    """
    present = {entry.id: entry for entry in waiting}
    fresh, gone = [], 0
    for send in sends:
        entry = present.get(send.entry.id)
        if entry is None or entry.redriven != send.entry.redriven:
            gone += 1
        else:
            fresh.append(replace(send, entry=replace(send.entry, ends=entry.ends)))
    if gone:
        raise StalePlanError(
            f"{gone} of {len(sends)} dead letters were redriven by another command meanwhile, so nothing was "
            "sent. Run it again to see what still waits."
        )
    return fresh


def in_rounds(sends: Sequence[Send], size: int) -> Iterable[list[Send]]:
    """Groups that may be sent side by side: at most ``size``, and no two of one transaction at one place.

    A send that fails for good can then never be overtaken by a later one of its transaction. Each transaction
    keeps its order; between them it is the topic's, give or take ``ROUNDS_AT_ONCE`` groups.
    """
    for start in range(0, len(sends), size * ROUNDS_AT_ONCE):
        turns: list[list[Send]] = []
        seen: Counter[LaneId] = Counter()
        for send in sends[start : start + size * ROUNDS_AT_ONCE]:
            turn = seen[send.entry.lane_id]
            seen[send.entry.lane_id] += 1
            if turn == len(turns):
                turns.append([])
            turns[turn].append(send)
        for group in turns:
            for first in range(0, len(group), size):
                yield group[first : first + size]


def read_entry(record: TopicRecord) -> Entry | None:
    """A dead letter as its headers tell it; None when the record is none."""
    headers = header_values(record.headers)
    if dl.DESTINATION not in headers or dl.LANE not in headers:
        return None
    origin = read_origin(record.headers)
    reason, _, detail = _text(headers.get(dl.REASON)).partition(": ")
    return Entry(
        offset=record.offset,
        key=record.key or b"",
        event_id=origin.event_id,
        event_type=origin.event_type,
        destination=_destination(headers),
        lane=_lane(headers),
        reason=reason,
        detail=detail,
        attempts=read_integer(headers.get(dl.ATTEMPTS)),
        status=read_integer(headers.get(dl.LAST_STATUS)),
        excerpt=headers.get(dl.EXCERPT, b""),
        at=read_time(_text(headers.get(dl.AT))),
        redriven=origin.redriven,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if name not in _OURS],
        id=_id(record, headers),
        ends=(LetterEnd(record.key or b"", TopicPlace(record.partition, record.offset)),),
    )


def read_id(record: TopicRecord) -> LetterId | None:
    """Which dead letter a record is; None when it is none."""
    headers = header_values(record.headers)
    is_letter = dl.DESTINATION in headers and dl.LANE in headers and dl.NOTE not in headers
    return _id(record, headers) if is_letter else None


def read_lane(headers: Mapping[str, bytes]) -> LaneId | None:
    """The transaction and destination of a dead letter or a note; None when the record is neither."""
    if dl.DESTINATION not in headers or dl.LANE not in headers:
        return None
    return _destination(headers), _lane(headers)


def _id(record: TopicRecord, headers: Mapping[str, bytes]) -> LetterId:
    """The letter's id. One without any place in its headers, of an earlier version, has its own place."""
    own = ("dead-letter", record.partition, record.offset)
    return letter_id(_destination(headers), record.headers, own)


def _why_not(entry: Entry) -> str:
    if entry.reason == DeadLetterReason.CANNOT_BUILD.value and entry.attempts == 0:
        return f"{entry.destination} has no endpoint for it: {entry.detail or 'its body cannot be built'}"
    return f"{entry.destination} is not in the configuration: its topic would be read by nobody"


def _destination(headers: Mapping[str, bytes]) -> DestinationId:
    return DestinationId(_text(headers[dl.DESTINATION]))


def _lane(headers: Mapping[str, bytes]) -> LaneKey:
    return LaneKey(_text(headers[dl.LANE]))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")
