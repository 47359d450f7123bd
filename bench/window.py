"""A stretch of steady state: how much was done in it, and how much CPU the processes needed for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two moments."""

    seconds: float
    done: int
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        return self.done / self.seconds

    @property
    def cpu_us_each(self) -> float:
        return self.cpu_seconds / self.done * 1e6 if self.done else float("nan")


def together(windows: Sequence[Window]) -> Window:
    """As if they were one."""
    return Window(
        sum(window.seconds for window in windows),
        sum(window.done for window in windows),
        sum(window.cpu_seconds for window in windows),
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process since its start; in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def watch(count: Callable[[], Awaitable[int]], pids: Sequence[int], seconds: float) -> Window:
    """Look, wait, look again."""
    cpu_before, count_before, began = _cpu(pids), await count(), time.monotonic()
    await asyncio.sleep(seconds)
    cpu_after, count_after, ended = _cpu(pids), await count(), time.monotonic()
    return Window(ended - began, count_after - count_before, cpu_after - cpu_before)


async def watch_until(
    count: Callable[[], Awaitable[int]], pids: Sequence[int], at_least: int, timeout_seconds: float
) -> Window:
    """Look, wait until so much is done, look again.

    Raises:
        TimeoutError: it is not in time.
    """
    cpu_before, count_before, began = _cpu(pids), await count(), time.monotonic()
    await wait_for_count(count, at_least, timeout_seconds)
    cpu_after, count_after, ended = _cpu(pids), await count(), time.monotonic()
    return Window(ended - began, count_after - count_before, cpu_after - cpu_before)


async def wait_for_count(count: Callable[[], Awaitable[int]], at_least: int, timeout_seconds: float) -> None:
    """Wait until so much is done.

    Raises:
        TimeoutError: it is not in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while (now := await count()) < at_least:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{now} of {at_least} done after {timeout_seconds:g} s")
        await asyncio.sleep(_POLL_SECONDS)


def _cpu(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)
