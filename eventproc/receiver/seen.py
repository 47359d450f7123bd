"""Events that were taken already: a bounded memory of their keys, for one process.

A receiver with a database keeps the keys there, in the transaction that the event changes: that also holds
over restarts and among processes. This is for the others, and in front of the database.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

CAPACITY: Final = 100_000
TTL_SECONDS: Final = 3 * 24 * 3600.0


class SeenEvents:
    """Keys (``VerifiedCallback.duplicate_key``) by the time of their last use; safe among threads.

    ``add`` after the event is safe, not before: an event that failed comes again and must not be taken for
    a duplicate::

        if callback.duplicate_key not in seen:
            store(callback)
            seen.add(callback.duplicate_key)

    Two copies that arrive in the same moment can both find nothing; only a unique key in a database stops
    that. The anchor sends a copy after the first attempt failed or was lost, so this is rare.

    Args:
        capacity: keys kept; beyond it the least recently used go. About 200 bytes each.
        ttl_seconds: how long a key is kept after its last use.
        clock: seconds that only grow.
    """

    __slots__ = ("_capacity", "_clock", "_expiry", "_lock", "_ttl_seconds")

    def __init__(
        self,
        capacity: int = CAPACITY,
        ttl_seconds: float = TTL_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if capacity < 1 or ttl_seconds <= 0:
            raise ValueError("capacity and ttl_seconds must be above zero, or nothing is remembered")
        self._capacity = capacity
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._expiry: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: str | None) -> bool:
        """Whether the event was added, and not forgotten since. An event without a key never was."""
        if key is None:
            return False
        with self._lock:
            self._forget_expired()
            if key not in self._expiry:
                return False
            self._touch(key)
            return True

    def __len__(self) -> int:
        with self._lock:
            self._forget_expired()
            return len(self._expiry)

    def add(self, key: str | None) -> None:
        """Remember that the event was taken."""
        if key is None:
            return
        with self._lock:
            self._touch(key)
            self._forget_expired()
            while len(self._expiry) > self._capacity:
                self._expiry.popitem(last=False)

    def _touch(self, key: str) -> None:
        self._expiry[key] = self._clock() + self._ttl_seconds
        self._expiry.move_to_end(key)

    def _forget_expired(self) -> None:
        """The order of use is the order of expiry."""
        now = self._clock()
        while self._expiry and next(iter(self._expiry.values())) <= now:
            self._expiry.popitem(last=False)
