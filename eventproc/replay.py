"""Which events of the source are sent again, and where to: an operator's choice, routed as the router routes.

The source is read twice: once to plan, once to send. A plan keeps of each event only its place and its
destinations (250 bytes, measured), so a large window does not fill the memory. What was shown before the
question is what is sent after it: events that were published or routed meanwhile are not in the plan, and the
second reading asks neither the routes nor the customer index. An event that is not there any more, because it
expired or its topic was made again, is not replaced by another: it is reported as not sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from eventproc.customer_index import CustomerIndex, NamedAt
from eventproc.errors import EventprocError
from eventproc.events import Event, Unreadable, decode
from eventproc.identifiers import DestinationId, EventId, LaneKey
from eventproc.records import REDRIVEN, Headers, Source, internal_headers
from eventproc.routing import RoutingTable

ROUND_EVENTS: Final = 1000
"""A replay waits for Kafka's acknowledgement after so many: a killed one sends at most these twice."""


class MissingTopicError(EventprocError):
    """A destination's topic is not there: no worker of this configuration has run yet."""


class Place(NamedTuple):
    """Where a record stands in the source topic; the time differs when the topic was made again."""

    partition: int
    offset: int
    timestamp_ms: int


def routed_end(begin: int, end: int, committed: int | None, metadata: str) -> int:
    """The offset before which the router has written everything of a source partition.

    What stands there or later the router writes itself: a replay of it would come before the router's copy,
    and again with it.

    Args:
        begin: the partition's first offset.
        end: the offset after its last one.
        committed: the group's, None when it has none.
        metadata: what is committed beside it.
    """
    is_cut_back = bool(metadata) and committed is not None and committed > end
    # Cut back, as a router takes it: it begins again. Without metadata it is the embedded broker's low end.
    return begin if committed is None or is_cut_back else max(begin, committed)


class EventNote(NamedTuple):
    """What a person recognises an event by; ``published_ms`` is ms since the epoch."""

    event_id: EventId
    event_type: str
    lane: LaneKey
    published_ms: int


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """Which events are meant, and for whom.

    The times (ms since the epoch, both inclusive) bound when the anchor published it. ``lanes`` are ids of
    transactions, customers or quotes; none: all. With ``latest_state_only`` each of these sends only its
    newest event to each destination. ``spans`` are those of a replay that is continued, by source partition:
    nothing outside of them is sent, and nothing behind them is looked at.
    """

    destinations: frozenset[DestinationId]
    since_ms: int | None = None
    until_ms: int | None = None
    lanes: frozenset[str] = frozenset()
    latest_state_only: bool = False
    spans: Mapping[int, tuple[int, int]] | None = None

    def is_in_time(self, published_ms: int) -> bool:
        """Whether an event published then is meant."""
        return (self.since_ms is None or published_ms >= self.since_ms) and (
            self.until_ms is None or published_ms <= self.until_ms
        )

    def span(self, partition: int) -> tuple[int, float]:
        """The first offset of a source partition that may be sent, and the one after the last."""
        return (0, math.inf) if self.spans is None else self.spans.get(partition, (0, 0))


@dataclass(slots=True)
class Portion:
    """What one destination gets again: how many events, the first and the last."""

    count: int
    first: EventNote
    last: EventNote


@dataclass(slots=True)
class ReplayPlan:
    """What a replay would do.

    ``unreadable`` records and events that go to none of the destinations (``elsewhere``) were in the window
    and are left out. ``not_routed`` records are beyond what the router has done: they come by themselves.
    """

    copies: dict[Place, tuple[DestinationId, ...]] = field(default_factory=dict)
    portions: dict[DestinationId, Portion] = field(default_factory=dict)
    unreadable: int = 0
    elsewhere: int = 0
    not_routed: int = 0

    @property
    def copy_count(self) -> int:
        """How many records would be written."""
        return sum(portion.count for portion in self.portions.values())

    def spans(self) -> dict[int, tuple[int, int]]:
        """Of each source partition in the plan its first offset, and the one after its last."""
        spans: dict[int, tuple[int, int]] = {}
        for partition, offset, _ in self.copies:
            first, after = spans.get(partition, (offset, offset + 1))
            spans[partition] = min(first, offset), max(after, offset + 1)
        return spans

    def add(self, place: Place, note: EventNote, destinations: tuple[DestinationId, ...]) -> None:
        """One more event; a place named before gets these destinations, too."""
        self.copies[place] = self.copies.get(place, ()) + destinations
        for destination in destinations:
            if (portion := self.portions.get(destination)) is None:
                self.portions[destination] = Portion(1, note, note)
            else:
                portion.count += 1
                portion.last = note


@dataclass(slots=True)
class SendProgress:
    """How far sending came; true at every moment, also after it broke off.

    Of the first ``events`` every copy is acknowledged; ``last`` is the last of these. ``written`` copies are
    acknowledged in all, ``in_doubt`` were handed over and not acknowledged: each may be written or not.
    Who sets ``is_stopping`` has no more handed over. ``whole`` is called with the place and the destinations
    of each event that is whole, in the order of the replay.
    """

    events: int = 0
    last: Source | None = None
    written: int = 0
    in_doubt: int = 0
    is_stopping: bool = False
    whole: Callable[[Place, Collection[DestinationId]], None] = lambda _place, _destinations: None

    def complete(self, source: Source, destinations: Collection[DestinationId]) -> None:
        """Count an event whose copies are all acknowledged."""
        self.events += 1
        self.last = source
        self.whole(Place(source.partition, source.offset, source.timestamp_ms), destinations)


class Planner:
    """Takes the source's records, in the order of the replay, and makes the plan."""

    def __init__(
        self,
        table: RoutingTable,
        customers: CustomerIndex,
        selection: ReplaySelection,
        max_record_bytes: int,
    ) -> None:
        self._table = table
        self._customers = customers
        self._selection = selection
        self._max_record_bytes = max_record_bytes
        self._plan = ReplayPlan()
        self._newest: dict[tuple[DestinationId, LaneKey], tuple[Place, EventNote]] = {}

    def offer(self, source: Source, value: bytes | None) -> None:
        """The next record."""
        behind = self._selection.span(source.partition)[1]
        if source.offset >= behind or not self._selection.is_in_time(source.timestamp_ms):
            return
        is_too_large = value is not None and len(value) > self._max_record_bytes
        event = None if is_too_large else decode(value)
        if event is None or isinstance(event, Unreadable):
            self._plan.unreadable += 1
            return
        if self._selection.lanes and event.lane_key not in self._selection.lanes:
            return
        at = NamedAt(source.timestamp_ms, source.partition, source.offset)
        route = self._table.route(event, self._customers, at)
        wanted = tuple(one for one in route.destinations if one in self._selection.destinations)
        if wanted:
            self._take(event, source, wanted)
        else:
            self._plan.elsewhere += 1

    def plan(self, not_routed: int = 0) -> ReplayPlan:
        """What to do with all that was offered."""
        for (destination, _), (place, note) in self._newest.items():
            self._add(place, note, (destination,))
        self._newest.clear()
        self._plan.not_routed = not_routed
        return self._plan

    def _take(self, event: Event, source: Source, wanted: tuple[DestinationId, ...]) -> None:
        place = Place(source.partition, source.offset, source.timestamp_ms)
        note = EventNote(event.id, event.type.value, event.lane_key, source.timestamp_ms)
        if not self._selection.latest_state_only:
            self._add(place, note, wanted)
            return
        for destination in wanted:
            self._newest.pop(
                (destination, note.lane), None
            )  # the newest also takes the last place in the order
            self._newest[destination, note.lane] = place, note

    def _add(self, place: Place, note: EventNote, destinations: tuple[DestinationId, ...]) -> None:
        if place.offset >= self._selection.span(place.partition)[0]:
            self._plan.add(place, note, destinations)


class Copy(NamedTuple):
    """One record to write."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


def copies_of(
    source: Source,
    value: bytes | None,
    *,
    traceparent: bytes | None,
    destinations: Collection[DestinationId],
    topics: Mapping[DestinationId, str],
    at: str,
) -> list[Copy]:
    """The copies of one event, as the router writes them, marked as redriven ``at`` (ISO-8601 UTC).

    The mark exempts them from the replay filter and from ``skip_stale``, and is shown to the receiver.
    """
    event = decode(value)
    if isinstance(event, Unreadable):
        return []
    headers = [*internal_headers(event, source, traceparent), (REDRIVEN, at.encode())]
    key = event.lane_key.encode("utf-8", "replace")
    return [Copy(topics[destination], key, value, headers) for destination in destinations]
