"""Ctrl-C and SIGTERM for a command in the middle of writing: it finishes what is under way, then stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """What is asked to stop."""

    is_stopping: bool


@dataclass(slots=True)
class StopRequest:
    """Whether the operator wants the command to stop."""

    is_stopping: bool = False


@contextmanager
def stopped_by_signals(work: Stoppable) -> Iterator[None]:
    """The first signal asks ``work`` to stop; the second one interrupts it."""

    def stop(number: int, frame: FrameType | None) -> None:
        if work.is_stopping:
            signal.default_int_handler(number, frame)
        work.is_stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
