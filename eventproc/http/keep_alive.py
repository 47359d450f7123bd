"""How long an idle connection is kept: half a minute, less where the receiver closes earlier.

With many destinations each gets an event every few seconds, and a connection that was given up costs the next
one a handshake: more CPU than all the rest of a delivery, and two more round trips with TLS. But what is sent
in the moment in which the receiver closes is lost on the way, and a failed attempt. Receivers close after
anything between 2 s (gunicorn), 5 s (Node, uvicorn) and minutes, so each is taken at what it was seen to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LONGEST_SECONDS: Final = 30.0
LEAST_SECONDS: Final = 1.0
SHARE: Final = 0.8
MARGIN_SECONDS: Final = 1.0
REMEMBERED_SECONDS: Final = 600.0
"""A deployment closes connections too, and says nothing about the time after it."""


class KeepAlive:
    """For the connections of one sender; ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._learned = LONGEST_SECONDS
        self._until = float("-inf")

    @property
    def seconds(self) -> float:
        """How long a connection may be idle and still be used."""
        return self._learned if self._clock() < self._until else LONGEST_SECONDS

    def closed_by_receiver(self, idle_seconds: float) -> None:
        """It has closed one that was idle so long: others are given up a fifth earlier, a second at least."""
        earlier = min(idle_seconds * SHARE, idle_seconds - MARGIN_SECONDS)
        self._learned = min(self.seconds, max(LEAST_SECONDS, earlier))
        self._until = self._clock() + REMEMBERED_SECONDS
