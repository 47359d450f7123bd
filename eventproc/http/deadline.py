"""One timer for a sequence of deadlines, of which nearly none is reached.

A timer for each request is 2 to 3 µs of a POST that takes 13. Here a deadline is a number: the timer that
runs is left running when the deadline moves away from it, looks at the number when it fires, and runs again
for the rest. So a connection that is used all the time has one timer in the time that one request may take.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

_RESOLUTION_SECONDS: Final = 0.001
"""uvloop's clock; a timer may fire that much before its time."""


class Deadline:
    """Calls ``expire`` when the deadline that was set last has passed; at most once for each ``set``."""

    __slots__ = ("_at", "_expire", "_fires_at", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._at = math.inf
        self._fires_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Move the deadline to this time of the loop's clock."""
        self._at = at
        if at < self._fires_at:
            self._start(at)

    def cancel(self) -> None:
        """Have no deadline any more, and no timer."""
        self._at = self._fires_at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        at = self._at
        self._timer = None
        self._fires_at = math.inf
        if at > self._loop.time() + _RESOLUTION_SECONDS:
            self._start(at)
            return
        self._at = math.inf
        self._expire()
