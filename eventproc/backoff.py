"""Step 9 – when again: exponential with full jitter, ``Retry-After`` honoured up to a bound.

Full jitter (a uniform draw from zero to the exponential ceiling) spreads a herd better than a jitter around
the ceiling: see "Exponential Backoff And Jitter", AWS Architecture Blog.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds in seconds; ``poison_attempts`` is how many failures of its own an event may have."""

    initial_seconds: float = 1.0
    max_seconds: float = 300.0
    retry_after_max_seconds: float = 3600.0
    poison_attempts: int = 10

    def delay_seconds(self, attempt: int, draw: float, retry_after_seconds: float | None = None) -> float:
        """Seconds to wait after the ``attempt``-th failure (from 1); ``draw`` is uniform in [0, 1)."""
        ceiling = min(self.max_seconds, self.initial_seconds * 2.0 ** min(attempt - 1, 60))
        delay = draw * ceiling
        if retry_after_seconds is None:
            return delay
        return max(delay, min(retry_after_seconds, self.retry_after_max_seconds))
