"""What one destination has done, as plain numbers that pages and metrics read."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Final

from eventproc.outcomes import FailureKind

LATENCY_BUCKETS_SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeliveryError:
    """A failed attempt, for the page; ``at`` in seconds since the epoch.

    ``count`` attempts failed with the same status, detail and excerpt; this is the last one.
    """

    at: float
    event_id: str
    transaction: str
    status: int | None
    detail: str
    excerpt: bytes
    count: int = 1


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound (seconds), the last one beyond all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS_SECONDS) + 1))
    total_seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(LATENCY_BUCKETS_SECONDS, seconds)] += 1
        self.total_seconds += seconds


@dataclass(slots=True)
class DestinationStats:
    """Counters since this worker started."""

    deliveries: int = 0
    rejected: int = 0
    dead_lettered: int = 0
    replays_skipped: int = 0
    unchanged_skipped: int = 0
    late: int = 0
    breaker_openings: int = 0
    failed: Counter[FailureKind] = field(default_factory=Counter)
    attempt_latency: Histogram = field(default_factory=Histogram)
    delivery_latency: Histogram = field(default_factory=Histogram)
    last_errors: deque[DeliveryError] = field(default_factory=lambda: deque(maxlen=20))

    def attempted(self, seconds: float) -> None:
        """One request ended, with or without an answer."""
        self.attempt_latency.observe(seconds)

    def delivered(self, seconds_since_publish: float) -> None:
        """One event was taken by the receiver."""
        self.deliveries += 1
        self.delivery_latency.observe(max(0.0, seconds_since_publish))

    def error(self, error: DeliveryError) -> None:
        """Remember a failed attempt for the page; identical ones are one entry with a count."""
        error = replace(error, excerpt=error.excerpt[:512])
        for known in self.last_errors:
            if (known.status, known.detail, known.excerpt) == (error.status, error.detail, error.excerpt):
                self.last_errors.remove(known)
                error = replace(error, count=error.count + known.count)
                break
        self.last_errors.append(error)
