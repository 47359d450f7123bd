"""Step 12 – redrive: which dead letters still wait, which of them are meant, and how they are sent again.

::

    dead-letter topic   A1  A2  B1  note(A1)  A1'      (A1' : A1 was redriven and failed again)
    waiting                 A2  B1            A1'

A dead letter waits until a note names it. Copies of one that a crash made double are one entry, at the place
of the first copy that still waits. Entries keep the topic's order, which is the order of each transaction.

``HeldIndex`` folds the same records for ``delivery.on_dead_letter: hold_transaction``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from eventproc import dead_letters as dl
from eventproc.dead_letters import DeadLetterReason
from eventproc.destination_patterns import stands_for
from eventproc.identifiers import DestinationId, EventId, LaneKey
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
        REDRIVEN,
    }
)
ROUNDS_AT_ONCE: Final = 10

LaneId: TypeAlias = tuple[DestinationId, LaneKey]
"""One transaction at one destination."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record of the dead-letter topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Entry:
    """One dead letter that waits; ``offset`` is that of its newest copy.

    ``headers`` are those of the internal record, without what the dead letter added; ``at`` is None when the
    header cannot be read; ``redriven`` tells when it was redriven before, if it was.
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

    @property
    def lane_id(self) -> LaneId:
        """The transaction at its destination."""
        return self.destination, self.lane


@dataclass(slots=True)
class _Waiting:
    """The copies of one dead letter: offset and place in the order read."""

    entry: Entry
    copies: list[tuple[int, int]]


class WaitingLetters:
    """Folds the dead-letter topic, read from its start, into what still waits."""

    def __init__(self) -> None:
        self.foreign = 0
        """Records that are neither a dead letter nor a note."""
        self._waiting: dict[bytes, _Waiting] = {}
        self._read = 0

    def add(self, record: TopicRecord) -> None:
        """Take the next record; those of one key in the topic's order."""
        self._read += 1
        headers = header_values(record.headers)
        if dl.NOTE in headers:
            self._note(record, headers)
        elif (entry := read_entry(record)) is None:
            self.foreign += 1
        else:
            self._letter(entry)

    def entries(self) -> list[Entry]:
        """What waits, in the topic's order."""
        return [one.entry for one in sorted(self._waiting.values(), key=lambda one: one.copies[0][1])]

    def _letter(self, entry: Entry) -> None:
        waiting = self._waiting.get(entry.key)
        if waiting is None:
            self._waiting[entry.key] = _Waiting(entry, [(entry.offset, self._read)])
            return
        waiting.copies.append((entry.offset, self._read))
        if entry.reason == DeadLetterReason.HELD.value and entry.redriven == waiting.entry.redriven:
            # After a crash an event can be held behind its own dead letter: the first copy tells the reason.
            waiting.entry = replace(waiting.entry, offset=entry.offset)
        else:
            waiting.entry = entry

    def _note(self, record: TopicRecord, headers: Mapping[str, bytes]) -> None:
        key = record.key or b""
        waiting = self._waiting.get(key)
        if waiting is None or headers[dl.NOTE] != dl.NOTE_REDRIVEN:
            return
        until = _integer(headers.get(dl.NOTE_UNTIL))
        waiting.copies = [copy for copy in waiting.copies if until is not None and copy[0] > until]
        if not waiting.copies:
            del self._waiting[key]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant: of each kind any one named, of all kinds named every one; none named: all.

    Destinations are named as in ``destination_patterns.py``. The times bound when it became a dead letter,
    both inclusive.
    """

    event_ids: Collection[str] = ()
    transaction_ids: Collection[str] = ()
    destinations: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    statuses: Collection[int] = ()
    reasons: Collection[str] = ()
    keys: Collection[bytes] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is named."""
        named = (self.event_ids, self.transaction_ids, self.destinations, self.statuses, self.reasons)
        return not any(named) and not self.keys and self.since is None and self.until is None

    def matches(self, entry: Entry) -> bool:
        """Whether this entry is meant."""
        return (
            (not self.event_ids or entry.event_id in self.event_ids)
            and (not self.transaction_ids or entry.lane in self.transaction_ids)
            and (not self.destinations or self._is_at(entry.destination))
            and (not self.statuses or entry.status in self.statuses)
            and (not self.reasons or entry.reason in self.reasons)
            and (not self.keys or entry.key in self.keys)
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


@dataclass(slots=True)
class _Held:
    """What holds one lane; a letter's copies are (offset, redriven)."""

    letters: dict[bytes, list[tuple[int, str | None]]] = field(default_factory=dict)
    announced: list[tuple[str, str | None]] = field(default_factory=list)
    freed: tuple[int, int] | None = None


class HeldIndex:
    """Which lanes are held: those with a waiting dead letter, and what stands before a redriven event."""

    def __init__(self) -> None:
        self._lanes: dict[LaneId, _Held] = {}

    def apply(self, record: TopicRecord) -> None:
        """Take the next record of the topic; those of one key in the topic's order."""
        headers = header_values(record.headers)
        if dl.DESTINATION not in headers or dl.LANE not in headers:
            return
        held = self._lanes.setdefault((_destination(headers), _lane(headers)), _Held())
        key = record.key or b""
        if dl.NOTE not in headers:
            origin = read_origin(record.headers)
            held.letters.setdefault(key, []).append((record.offset, origin.redriven))
            self.retract((_destination(headers), _lane(headers)), origin.event_id, origin.redriven)
        elif headers[dl.NOTE] == dl.NOTE_REDRIVEN:
            until = _integer(headers.get(dl.NOTE_UNTIL))
            left = [copy for copy in held.letters.pop(key, []) if until is not None and copy[0] > until]
            if left:
                held.letters[key] = left
            partition, offset = (
                _integer(headers.get(dl.NOTE_PARTITION)),
                _integer(headers.get(dl.NOTE_OFFSET)),
            )
            if partition is not None and offset is not None:
                held.freed = (partition, offset)

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """A dead letter is about to be written: it holds its lane before it is read back."""
        self._lanes.setdefault(lane, _Held()).announced.append((event_id, redriven))

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """It was not written, as far as the writer knows; were it, it will be read back."""
        if (held := self._lanes.get(lane)) is not None and (event_id, redriven) in held.announced:
            held.announced.remove((event_id, redriven))

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """Whether the record there must follow its transaction's dead letters instead of being delivered.

        A redriven event passes, unless one of the same redrive has failed again before it. Any other waits
        for the lane's dead letters, and behind where they were put when they were redriven.
        """
        held = self._lanes.get(lane)
        if held is None:
            return False
        marks = [mark for copies in held.letters.values() for _, mark in copies]
        marks += [mark for _, mark in held.announced]
        if redriven is not None:
            return redriven in marks
        is_before = held.freed is not None and held.freed[0] == partition and offset < held.freed[1]
        return bool(marks) or is_before


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
        attempts=_integer(headers.get(dl.ATTEMPTS)),
        status=_integer(headers.get(dl.LAST_STATUS)),
        excerpt=headers.get(dl.EXCERPT, b""),
        at=read_time(_text(headers.get(dl.AT))),
        redriven=origin.redriven,
        value=record.value,
        headers=[(name, value) for name, value in record.headers if name not in _OURS],
    )


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


def _integer(value: bytes | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return None
