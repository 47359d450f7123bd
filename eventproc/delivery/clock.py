"""Time for the engine: the event loop's for waiting, the wall's for signatures. Tests bring their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Never call it; nothing happens when it was called already."""


class Clock(Protocol):
    """What the engine asks of time, in seconds."""

    def monotonic(self) -> float:
        """Seconds that only grow."""

    def wall(self) -> float:
        """Seconds since the epoch."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back at ``when`` on the monotonic clock."""


class LoopClock:
    """The system's clocks, and the running event loop's timers."""

    def monotonic(self) -> float:
        """The system's: it is read several times for every event, and asking the loop costs more."""
        return time.monotonic()

    def wall(self) -> float:
        """The system's time."""
        return time.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """By a timer of the loop."""
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)
