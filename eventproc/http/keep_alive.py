"""How long an idle connection is kept: half a minute, less where the receiver closes earlier.

With many destinations each gets an event every few seconds, and a connection that was given up costs the next
one a handshake: more CPU than all the rest of a delivery, and two more round trips with TLS. But what is sent
in the moment in which the receiver closes is lost on the way, and a failed attempt. Receivers close after
anything between 2 s (gunicorn), 5 s (Node, uvicorn) and minutes, so each is taken at what it was seen to do.
"""

from __future__ import annotations

import re
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
        self._announced = LONGEST_SECONDS
        self._learned = LONGEST_SECONDS
        self._until = float("-inf")

    @property
    def seconds(self) -> float:
        """How long a connection may be idle and still be used; 0: it must not be used again."""
        return min(self._announced, self._learned) if self._clock() < self._until else self._announced

    def announced(self, header: bytes) -> None:
        """The receiver's ``Keep-Alive: timeout=5, max=100`` (RFC 2068, 19.7.1.1); empty: it says nothing."""
        found = _TIMEOUT.search(header)
        seconds = LONGEST_SECONDS if found is None else _earlier(float(found[1]))
        self._announced = max(0.0, min(LONGEST_SECONDS, seconds))

    def closed_by_receiver(self, idle_seconds: float) -> None:
        """It has closed one that was idle so long: others are given up a fifth earlier, a second at least."""
        self._learn(max(LEAST_SECONDS, _earlier(idle_seconds)))

    def sent_surplus(self) -> None:
        """It sends more than its responses, which would be taken for the next ones."""
        self._learn(0.0)

    def _learn(self, seconds: float) -> None:
        self._learned = min(self.seconds, seconds)
        self._until = self._clock() + REMEMBERED_SECONDS


def _earlier(seconds: float) -> float:
    return min(seconds * SHARE, seconds - MARGIN_SECONDS)


_TIMEOUT: Final = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?(\d{1,6})", re.IGNORECASE)
