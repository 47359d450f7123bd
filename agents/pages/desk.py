"""What the pages need beside the worker's own parts: who may act, the dead letters, when it began."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Final, Protocol

from agents.pages.session import Sessions
from eventproc.dead_letters import LetterId
from eventproc.delivery.control import set_paused
from eventproc.delivery.letter_window import LetterWindow, Window
from eventproc.delivery.timeline_reader import read_timeline
from eventproc.identifiers import DestinationId
from eventproc.redrive import Plan
from eventproc.timeline import Timeline
from settings import Settings

FRESH_SECONDS: Final = 3.0
TIMELINES_AT_ONCE: Final = 2


class Letters(Protocol):
    """The dead-letter topic."""

    async def read(self, keeps_value: Callable[[LetterId], bool]) -> Window:
        """What waits, with the values asked for."""

    async def send(self, plan: Plan) -> None:
        """Send everything of the plan."""


@dataclass(slots=True)
class Desk:
    """Everything that goes to Kafka is a field, for tests bring their own."""

    app: Any
    sessions: Sessions | None
    letters: Letters
    read_timeline: Callable[[str, float], Awaitable[Timeline]]
    set_paused: Callable[[DestinationId, bool, str, str], Awaitable[None]]
    wall: Callable[[], float] = time.time
    started_at: float = field(default_factory=time.time)
    redriving: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    timelines: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TIMELINES_AT_ONCE))
    _recent: tuple[float, Window] | None = None

    def worker_name(self) -> str:
        """How this worker is told from others: host, web port and process."""
        return f"{socket.gethostname()}:{self.app.conf.web_port} ({os.getpid()})"

    async def recent_letters(self) -> Window:
        """What waits, without values; read once for all who ask within a moment."""
        async with self.reading:
            if self._recent is None or time.monotonic() - self._recent[0] > FRESH_SECONDS:
                window = await self.letters.read(lambda _id: False)
                self._recent = (time.monotonic(), window)
            return self._recent[1]

    def forget_recent_letters(self) -> None:
        """Something was sent: who looks next sees it."""
        self._recent = None


def version() -> str:
    """Of the installed package."""
    try:
        return metadata.version("eventproc")
    except metadata.PackageNotFoundError:
        return "not installed"


def open_desk(app: Any, settings: Settings) -> Desk:
    """The desk of a real worker."""
    token = settings.web.admin_token

    async def timeline(lane: str, since_seconds: float) -> Timeline:
        return await read_timeline(settings, lane, since_seconds)

    async def pause(destination: DestinationId, paused: bool, by: str, reason: str) -> None:
        await set_paused(settings, [destination], paused, by, reason)

    return Desk(
        app=app,
        sessions=None if token is None else Sessions(token, time.time),
        letters=LetterWindow(settings),
        read_timeline=timeline,
        set_paused=pause,
    )
