"""The pace of one destination: how many attempts may begin in a second (``delivery.rate_limit_per_second``).

The engine asks it before it takes a lane, so that nothing waits here: an event that waits for its turn stays
in its lane, where a pause, a drain or an opened breaker finds it. A limiter that is awaited (aiolimiter was
used) holds up to ``max_in_flight`` taken lanes, and releases all of them after the stop.

The generic cell rate algorithm: one number, the time at which the allowance is complete again. Time is a
number given by the caller.
"""

from __future__ import annotations

from typing import Final

BURST_SECONDS: Final = 1.0
"""Unused allowance is kept for this long. Below one attempt per second, the burst is one attempt."""

ROUNDING_SECONDS: Final = 1e-6
"""Added to the slack, so that rounding costs no attempt."""


class Pace:
    """At most ``per_second`` attempts in the long run, and one second's worth at once. None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self._interval_seconds = 0.0 if per_second is None else 1.0 / per_second
        self._slack_seconds = max(0.0, BURST_SECONDS - self._interval_seconds) + ROUNDING_SECONDS
        self._complete_at = float("-inf")

    def opens_at(self, now: float) -> float:
        """Return when the next attempt may begin: ``now``, or a later time."""
        return max(now, self._complete_at - self._slack_seconds)

    def is_open(self, now: float) -> bool:
        """Return whether an attempt may begin now."""
        return self.opens_at(now) <= now

    def spend(self, now: float) -> None:
        """Count an attempt that begins now."""
        self._complete_at = max(now, self._complete_at) + self._interval_seconds

    def give_back(self) -> None:
        """Count an attempt less: it was counted, and not made."""
        self._complete_at -= self._interval_seconds
