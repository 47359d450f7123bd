"""A sampling profiler by CPU time, for a worker that must keep its speed while it is looked at.

``SIGPROF`` comes after so much CPU time of the process, and Python runs the handler in the main thread. Each
sample counts the CPU time that its thread has used since the last one, so work of the consumer's thread is
not laid at the main thread's door. cProfile was dropped: it doubles the cost of small functions, and these
are what is looked for. What runs in C counts for the Python line that called it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp

INTERVAL_SECONDS = 0.002
MAX_DEPTH = 60

_ROOTS = (
    (f"{Path(aiohttp.__file__).parents[1]}/", ""),
    (f"{Path(asyncio.__file__).parents[1]}/", "python/"),
    (f"{Path(__file__).parents[2]}/", ""),
)


class Sampler:
    """Collects stacks while it runs."""

    def __init__(self) -> None:
        self.stacks: Counter[tuple[str, ...]] = Counter()  # microseconds of CPU by stack, outermost first
        self._last: dict[int, float] = {}

    def start(self) -> None:
        """From now on."""
        self.stacks.clear()
        self._last = {ident: _thread_seconds(ident) for ident in sys._current_frames()}  # noqa: SLF001
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def stop(self) -> list[tuple[list[str], int]]:
        """Until now: stacks and their microseconds."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        return [(list(stack), us) for stack, us in self.stacks.items()]

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        main = threading.main_thread().ident
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, current in sys._current_frames().items():  # noqa: SLF001 - the interpreter's own way
            now = _thread_seconds(ident)
            used_us = round((now - self._last.get(ident, now)) * 1e6)
            self._last[ident] = now
            if used_us > 0:
                top = frame if ident == main else current
                stack = [f"thread {names.get(ident, ident)}", *_stack(top)]
                self.stacks[tuple(stack)] += used_us


def _thread_seconds(ident: int) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(ident))


def _stack(frame: FrameType | None) -> list[str]:
    found: list[str] = []
    while frame is not None and len(found) < MAX_DEPTH:
        code = frame.f_code
        found.append(f"{_module(code.co_filename)}:{getattr(code, 'co_qualname', code.co_name)}")
        frame = frame.f_back
    return found[::-1]


def _module(file: str) -> str:
    """The path from the package on: ``aiohttp/client.py``, ``python/asyncio/tasks.py``."""
    for root, prefix in _ROOTS:
        if file.startswith(root):
            return prefix + file[len(root) :]
    return file


def add_profile_pages(app: Any) -> None:
    """``/bench/profile/start/`` and ``/bench/profile/stop/``."""
    sampler = Sampler()

    async def start(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        sampler.start()
        return web.json({})

    async def stop(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        return web.json(sampler.stop())

    app.page("/bench/profile/start/", name="profile_start")(start)
    app.page("/bench/profile/stop/", name="profile_stop")(stop)
