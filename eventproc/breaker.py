"""The breaker of one destination, and the evidence that tells an outage from a poison event.

::

    closed ── N failures in a row, of two lanes at least ──> open ── its time is over ──> half-open
      ^                                                       ^                              │ one probe,
      └──────────── a probe is answered ── half-open ─────────┴─── the probe fails ──────────┘ another lane
                                                                  (twice as long)

One lane alone never opens it: its own backoff protects the endpoint, and a single poison event must not make
the others wait. After a recovery the number of requests in flight doubles with each success, from one, so
that a mended endpoint does not meet the whole backlog in its first second.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from eventproc.identifiers import LaneKey

EVIDENCE_LANES: Final = 20
EVIDENCE_SHARE: Final = 0.8
EVIDENCE_SECONDS: Final = 900.0
"""Longer than ten attempts take with the default backoff (511 s): poison then needs no new traffic."""


class BreakerState(enum.Enum):
    """The value is also the label in metrics and pages."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class Breaker:
    """Times in seconds of a monotonic clock given by the caller."""

    failure_threshold: int = 5
    open_initial_seconds: float = 1.0
    open_max_seconds: float = 60.0
    state: BreakerState = BreakerState.CLOSED
    opened_until: float = 0.0
    last_probe: LaneKey | None = None
    _failures: int = 0
    _failed_lanes: set[LaneKey] = field(default_factory=set)
    _open_seconds: float = 0.0
    _ramp: int | None = None

    def limit(self, max_in_flight: int, now: float) -> int:
        """How many requests may be in flight at this moment; turns open into half-open when it is time."""
        if self.state is BreakerState.OPEN:
            if now < self.opened_until:
                return 0
            self.state = BreakerState.HALF_OPEN
        if self.state is BreakerState.HALF_OPEN:
            return 1
        return max_in_flight if self._ramp is None else min(max_in_flight, self._ramp)

    @property
    def is_ramping(self) -> bool:
        """Whether a recovery is still raising the number of requests in flight."""
        return self._ramp is not None

    def on_success(self, max_in_flight: int) -> None:
        """An endpoint that answers, whatever it answers about one event, is up."""
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.CLOSED
            self._ramp = 1
            self._open_seconds = 0.0
        self._failures = 0
        self._failed_lanes.clear()
        if self._ramp is not None:
            self._ramp = self._ramp * 2
            if self._ramp >= max_in_flight:
                self._ramp = None

    def on_failure(self, lane: LaneKey, now: float, wait_seconds: float | None = None) -> None:
        """One failed attempt of ``lane``; ``wait_seconds`` is what the endpoint asked for, if it did."""
        self._failures += 1
        if len(self._failed_lanes) < 2:
            self._failed_lanes.add(lane)
        if self.state is BreakerState.HALF_OPEN:
            self._open(now, wait_seconds)
        elif self.state is BreakerState.CLOSED:
            enough = self._failures >= self.failure_threshold and len(self._failed_lanes) > 1
            if enough or self._ramp is not None:
                self._open(now, wait_seconds)

    def _open(self, now: float, wait_seconds: float | None) -> None:
        longer = self._open_seconds * 2 if self._open_seconds else self.open_initial_seconds
        self._open_seconds = min(self.open_max_seconds, longer)
        wait = max(self._open_seconds, min(wait_seconds or 0.0, self.open_max_seconds))
        self.state = BreakerState.OPEN
        self.opened_until = now + wait
        self._ramp = None


class Evidence:
    """Whether the endpoint answers others: the latest outcome of each of the last lanes.

    One entry a lane, so a few poison events that retry do not look like an outage, and a flapping endpoint,
    whose lanes mostly stand at a failure, does not look like poison.
    """

    def __init__(self) -> None:
        self._latest: OrderedDict[LaneKey, float | None] = OrderedDict()

    def record(self, lane: LaneKey, now: float, *, succeeded: bool) -> None:
        """Remember the outcome of one attempt of ``lane`` at ``now``."""
        self._latest.pop(lane, None)
        self._latest[lane] = now if succeeded else None
        if len(self._latest) > EVIDENCE_LANES:
            self._latest.popitem(last=False)

    def others_pass(self, lane: LaneKey, since: float, now: float) -> bool:
        """True when others succeeded after ``since``, not long ago, and nearly all of them."""
        others = [success for other, success in self._latest.items() if other != lane]
        passed = [success for success in others if success is not None]
        return (
            bool(passed)
            and max(passed) >= since
            and now - max(passed) <= EVIDENCE_SECONDS
            and len(passed) >= EVIDENCE_SHARE * len(others)
        )
