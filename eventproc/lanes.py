"""Step 4 – lanes: which head may start now; one transaction in order, many transactions side by side.

A lane holds the waiting events of one transaction for one destination. It is in exactly one place::

    add ──> ready ── take ──> running ── finish ──> ready (more waiting) or gone
              ^                  └────── postpone ──> postponed until its time <── add (tried before)
              └──────────────────────────────────────────┘ due, or released

Time is a number given by the caller, so that a test needs no sleep.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from eventproc.identifiers import LaneKey

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Lane(Generic[T]):
    """The events of one transaction that wait for one destination; ``items[0]`` is the head."""

    key: LaneKey
    items: deque[T] = field(default_factory=deque)
    postponed_until: float | None = None
    ticket: int = 0


class Lanes(Generic[T]):
    """All lanes of one destination."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane[T]] = {}
        self._ready: deque[Lane[T]] = deque()
        self._postponed: list[tuple[float, int, Lane[T]]] = []
        self._tickets = itertools.count(1)
        self.waiting = 0

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def is_all_running(self) -> bool:
        """Whether there is nothing to take, neither now nor at a later time."""
        return not self._ready and not self._postponed

    def __iter__(self) -> Iterator[Lane[T]]:
        """Every lane, in the order in which they came to be."""
        return iter(self._lanes.values())

    def add(self, key: LaneKey, item: T, until: float | None = None) -> None:
        """Append an event to its lane; a new lane is ready at once, or when its time comes."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
            if until is None:
                self._ready.append(lane)
            else:
                self.postpone(lane, until)
        lane.items.append(item)
        self.waiting += 1

    def take(self, now: float) -> Lane[T] | None:
        """The next lane whose head may start, or None; the caller must ``finish`` or ``postpone`` it."""
        self._make_due_ready(now)
        return self._ready.popleft() if self._ready else None

    def take_probe(self, avoid: LaneKey | None) -> Lane[T] | None:
        """A lane to ask a failing endpoint with: another than ``avoid`` if there is one, due or not."""
        while self._postponed and not self._is_current(self._postponed[0]):
            heapq.heappop(self._postponed)
        candidates = list(self._first_two())
        if not candidates:
            return None
        lane = next((c for c in candidates if c.key != avoid), candidates[0])
        if lane.postponed_until is None:
            self._ready.remove(lane)
        else:
            self._unpostpone(lane)
        return lane

    def finish(self, lane: Lane[T]) -> T:
        """Drop the head of a running lane; the lane is ready again when more waits, else gone."""
        item = lane.items.popleft()
        self.waiting -= 1
        if lane.items:
            self._ready.append(lane)
        else:
            del self._lanes[lane.key]
        return item

    def postpone(self, lane: Lane[T], until: float) -> None:
        """Put a running lane aside until its time; its head stays its head."""
        lane.postponed_until = until
        lane.ticket = next(self._tickets)
        heapq.heappush(self._postponed, (until, lane.ticket, lane))

    def put_back(self, lane: Lane[T]) -> None:
        """Give a taken lane back unchanged, first in line."""
        self._ready.appendleft(lane)

    def release_postponed(self) -> None:
        """Make every postponed lane ready, in the order of their times."""
        while self._postponed:
            entry = heapq.heappop(self._postponed)
            if self._is_current(entry):
                self._unpostpone(entry[2])
                self._ready.append(entry[2])

    def next_due(self) -> float | None:
        """When the next postponed lane becomes ready; None when none is postponed."""
        while self._postponed and not self._is_current(self._postponed[0]):
            heapq.heappop(self._postponed)
        return self._postponed[0][0] if self._postponed else None

    def has_ready(self, now: float) -> bool:
        """Whether ``take`` would give a lane."""
        due = self.next_due()
        return bool(self._ready) or (due is not None and due <= now)

    def heads(self) -> Iterator[T]:
        """The head of every lane, in the order in which the lanes came to be."""
        return (lane.items[0] for lane in self)

    def _first_two(self) -> Iterator[Lane[T]]:
        yield from itertools.islice(self._ready, 2)
        yield from (entry[2] for entry in heapq.nsmallest(2, filter(self._is_current, self._postponed)))

    def _make_due_ready(self, now: float) -> None:
        while self._postponed and self._postponed[0][0] <= now:
            entry = heapq.heappop(self._postponed)
            if self._is_current(entry):
                self._unpostpone(entry[2])
                self._ready.append(entry[2])

    @staticmethod
    def _is_current(entry: tuple[float, int, Lane[T]]) -> bool:
        return entry[2].ticket == entry[1]

    @staticmethod
    def _unpostpone(lane: Lane[T]) -> None:
        lane.postponed_until = None
        lane.ticket = 0
