"""The timeline of one transaction: its events, where each went, every attempt, and how it stands.

Folded from the entries of one lane (``journal_entries.py``), in whatever order and however often they were
read. Entries are written best effort, so a timeline says what it cannot know: ``Timeline.unknown``.

How an event stands at a destination, by what was noted last::

    routed ──> under way ──> attempt failed ──> waiting, until its next try is due ──> under way
       │          ^  │
       │          │  ├──────> attempt delivered ──> delivered
       │          │  ├──────> dead-lettered ── redriven ──┐
       │          └──┼──────────────────────────────────┘
       │             └──────> skipped, as stale or unchanged
       └──> behind an earlier event of the same transaction, until that is out of the way

Under way, and nothing can start there (``held_up``): held up, by a pause or a breaker. Entries tell nothing
of either, so that is asked of those who know.
"""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from typing import Any, Final

from typing_extensions import assert_never

from eventproc.breaker import BreakerState
from eventproc.journal_entries import (
    REPLAY,
    Attempt,
    DeadLettered,
    Entry,
    Invalid,
    Redriven,
    Routed,
    Skipped,
)
from eventproc.pauses import Pause
from eventproc.records import Source
from eventproc.times import from_ms, iso

DELIVERED: Final = "delivered"


class State(enum.Enum):
    """How an event stands at one destination; the value is the text in JSON."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    BEHIND = "behind"
    UNDER_WAY = "under_way"
    HELD_UP = "held_up"
    DEAD_LETTERED = "dead_lettered"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in {State.DELIVERED, State.DEAD_LETTERED, State.SKIPPED}


_OPEN: Final = {State.UNDER_WAY, State.WAITING, State.BEHIND}


@dataclass(frozen=True, slots=True)
class DestinationTimeline:
    """One event at one destination. Attempts are in the order of time.

    ``next_try_at`` in the past: due, and held up by a breaker or by a worker's absence. ``behind`` is the id
    of the event that must be out of the way first. ``dead_letter`` is the last one, redriven or not.
    ``held_by`` is what must end before any request starts there. ``skipped_as`` is why no request was needed.
    """

    destination: str
    state: State
    attempts: tuple[Attempt, ...] = ()
    next_try_at: float | None = None
    behind: str | None = None
    dead_letter: DeadLettered | None = None
    redriven_at: float | None = None
    held_by: Pause | BreakerState | None = None
    skipped_as: str | None = None


@dataclass(frozen=True, slots=True)
class EventTimeline:
    """One event. ``routed`` and ``invalid`` are None when no such entry was found."""

    event_id: str
    source: Source | None
    first_seen_at: float
    routed: Routed | None
    invalid: Invalid | None
    destinations: tuple[DestinationTimeline, ...]

    @property
    def published_at(self) -> float:
        """When the anchor published it, else when it was first heard of."""
        return self.first_seen_at if self.source is None else self.source.timestamp_ms / 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: everything since ``since``, unless ``problems`` says what is missing.

    ``dropped`` counts entries that workers could not write, of any lane.
    """

    since: float
    records: int = 0
    dropped: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything known of one lane at ``as_of``; events in the order in which they were published."""

    lane: str
    as_of: float
    since: float
    events: tuple[EventTimeline, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; times as ISO-8601 in UTC."""
        return {
            "transaction": self.lane,
            "as_of": iso_time(self.as_of),
            "since": iso_time(self.since),
            "events": [_event_json(event) for event in self.events],
            "unknown": list(self.unknown),
        }


def fold(lane: str, entries: Iterable[Entry], now: float, reading: Reading) -> Timeline:
    """Make a timeline of one lane's entries; ``now`` in seconds since the epoch tells what is due."""
    by_event: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in sorted(dict.fromkeys(entries), key=_ended_at):
        place = None if entry.source is None else entry.source[:3]
        by_event.setdefault((entry.event_id, place), []).append(entry)
    events = sorted(
        (_event(event_id, history, now) for (event_id, _), history in by_event.items()),
        key=lambda event: (event.published_at, event.source or ("", 0, 0, 0)),
    )
    events = list(_with_those_behind(events))
    return Timeline(lane, now, reading.since, tuple(events), tuple(_unknown(events, reading)))


def held_up(timeline: Timeline, holds: Mapping[str, Pause | BreakerState]) -> Timeline:
    """The timeline, with what waits at destinations that start nothing now said to wait for that.

    What waits for its next try, or behind another event, keeps its state: it waits for both.
    """

    def at(one: DestinationTimeline) -> DestinationTimeline:
        hold = holds.get(one.destination)
        if hold in {None, BreakerState.CLOSED} or one.state not in _OPEN:
            return one
        state = State.HELD_UP if one.state is State.UNDER_WAY else one.state
        return replace(one, state=state, held_by=hold)

    events = tuple(
        replace(event, destinations=tuple(map(at, event.destinations))) for event in timeline.events
    )
    return replace(timeline, events=events)


def iso_time(at: float) -> str:
    """Seconds since the epoch as ISO-8601 in UTC; ``from_ms`` has the bounds."""
    return iso(from_ms(round(at * 1000))) if math.isfinite(at) else iso(from_ms(sys.maxsize))


def _ended_at(entry: Entry) -> float:
    return entry.at + entry.seconds if isinstance(entry, Attempt) else entry.at


def _event(event_id: str, history: list[Entry], now: float) -> EventTimeline:
    """``history`` is in the order of time."""
    routings = [entry for entry in history if isinstance(entry, Routed)]
    invalid = next((entry for entry in history if isinstance(entry, Invalid)), None)
    routed = routings[-1] if routings else None
    names = dict.fromkeys(name for routing in routings for name in routing.destinations)
    at_destinations: dict[str, list[Entry]] = {name: [] for name in names}
    for entry in history:
        if not isinstance(entry, (Routed, Invalid)):
            at_destinations.setdefault(entry.destination, []).append(entry)
    return EventTimeline(
        event_id=event_id,
        source=next((entry.source for entry in history if entry.source is not None), None),
        first_seen_at=min(entry.at for entry in history),
        routed=routed,
        invalid=invalid,
        destinations=tuple(_destination(name, notes, now) for name, notes in at_destinations.items()),
    )


def _destination(name: str, history: list[Entry], now: float) -> DestinationTimeline:
    """How an event stands at one destination: the state machine at the head of this module."""
    stands = DestinationTimeline(name, State.UNDER_WAY)
    attempts: list[Attempt] = []
    for entry in history:
        if isinstance(entry, Attempt):
            attempts.append(entry)
            stands = _after_attempt(stands, entry)
        elif isinstance(entry, DeadLettered):
            stands = replace(stands, state=State.DEAD_LETTERED, dead_letter=entry, next_try_at=None)
        elif isinstance(entry, Redriven):
            stands = _after_redrive(stands, entry)
        elif isinstance(entry, Skipped):
            stands = _after_skip(stands, entry, is_first=entry is history[0])
        elif isinstance(entry, (Routed, Invalid)):
            continue
        else:
            assert_never(entry)
    if stands.state is State.WAITING and stands.next_try_at is not None and stands.next_try_at <= now:
        stands = replace(stands, state=State.UNDER_WAY)
    return replace(stands, attempts=tuple(sorted(attempts, key=attrgetter("at"))))


def _after_attempt(stands: DestinationTimeline, attempt: Attempt) -> DestinationTimeline:
    if attempt.outcome == DELIVERED:
        return replace(stands, state=State.DELIVERED, next_try_at=None, skipped_as=None)
    if attempt.next_try_at is not None:
        return replace(stands, state=State.WAITING, next_try_at=attempt.next_try_at)
    if stands.state is State.DEAD_LETTERED:
        return stands
    return replace(stands, state=State.UNDER_WAY, next_try_at=None)


def _after_redrive(stands: DestinationTimeline, redriven: Redriven) -> DestinationTimeline:
    """Whoever redrives has another clock than who delivers: attempts of the copy may seem to come before."""
    if stands.state is not State.DEAD_LETTERED:
        return replace(stands, redriven_at=redriven.at)
    return replace(stands, state=State.UNDER_WAY, redriven_at=redriven.at)


def _after_skip(stands: DestinationTimeline, skipped: Skipped, *, is_first: bool) -> DestinationTimeline:
    """A replay was seen before: if not in what was read, nothing is known of how it went."""
    if skipped.why != REPLAY:
        return replace(stands, state=State.SKIPPED, next_try_at=None, skipped_as=skipped.why)
    return replace(stands, state=State.UNKNOWN) if is_first else stands


def _with_those_behind(events: Iterable[EventTimeline]) -> Iterator[EventTimeline]:
    """A destination gets a transaction's events one after the other."""
    open_at: dict[str, str] = {}
    for event in events:
        destinations = []
        for one in event.destinations:
            first = open_at.get(one.destination)
            stands = one
            if first is not None and one.state is State.UNDER_WAY and not one.attempts:
                stands = replace(one, state=State.BEHIND, behind=first)
            destinations.append(stands)
            if not stands.state.is_settled and stands.state is not State.UNKNOWN:
                open_at.setdefault(one.destination, event.event_id)
        yield replace(event, destinations=tuple(destinations))


def _unknown(events: list[EventTimeline], reading: Reading) -> Iterator[str]:
    yield from reading.problems
    if reading.dropped:
        yield f"workers could not write {reading.dropped} entries, of whatever transaction, in this time"
    for event in events:
        if event.routed is None and event.invalid is None:
            yield f"how event {event.event_id} was routed is not in what was read"
        for one in event.destinations:
            if one.attempts and one.attempts[0].number > 1:
                yield f"earlier attempts of event {event.event_id} at {one.destination}: not in what was read"
            if one.state is State.UNKNOWN:
                yield f"how event {event.event_id} went at {one.destination} is not in what was read"


def _event_json(event: EventTimeline) -> dict[str, Any]:
    routed, source = event.routed, event.source
    return {
        "event_id": event.event_id,
        "event_type": None if routed is None else routed.event_type,
        "sep": None if routed is None else routed.sep,
        "published_at": iso_time(event.published_at),
        "source": None
        if source is None
        else dict(zip(("topic", "partition", "offset"), source, strict=False)),
        "routed_at": None if routed is None else iso_time(routed.at),
        "match": None if routed is None else routed.match,
        "misfit": None if routed is None else routed.misfit,
        "unbuildable": [] if routed is None else list(routed.unbuildable),
        "invalid": None if event.invalid is None else _plain(event.invalid, "reason", "detail"),
        "destinations": [_destination_json(one) for one in event.destinations],
    }


def _destination_json(one: DestinationTimeline) -> dict[str, Any]:
    letter = one.dead_letter
    return {
        "destination": one.destination,
        "state": one.state.value,
        "next_try_at": None if one.next_try_at is None else iso_time(one.next_try_at),
        "behind": one.behind,
        "held_by": _hold_json(one.held_by),
        "skipped_as": one.skipped_as,
        "redriven_at": None if one.redriven_at is None else iso_time(one.redriven_at),
        "dead_letter": None
        if letter is None
        else {"at": iso_time(letter.at)} | _plain(letter, "reason", "detail", "attempts", "status", "worker"),
        "attempts": [_attempt_json(attempt) for attempt in one.attempts],
    }


def _hold_json(hold: Pause | BreakerState | None) -> dict[str, Any] | None:
    match hold:
        case None:
            return None
        case Pause():
            return {"what": "pause", **asdict(hold)}
        case BreakerState():
            return {"what": "breaker", "state": hold.value}
        case _:
            assert_never(hold)


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "at": iso_time(attempt.at),
        **_plain(attempt, "number", "seconds", "outcome", "kind", "status", "detail", "redriven", "worker"),
        "next_try_at": None if attempt.next_try_at is None else iso_time(attempt.next_try_at),
    }


def _plain(entry: Entry, *names: str) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in names}
