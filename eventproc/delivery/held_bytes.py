"""How many bytes of events a worker holds, shared fairly between its destinations.

``delivery.max_waiting`` counts events, and a thousand of 1 MB for each of 50 destinations fit no worker: the
kernel killed it 10 s after each start, before any log line. Here all destinations draw on one bound in bytes.

**The share of each** is as large as what is free at the moment: a destination holds back once it holds as
much as is free (the dynamic threshold of shared-memory switches, Choudhury and Hahne 1998). So one busy
destination may hold half of the bound, and 50 that are down a 51st each, with a 51st left for the next. A
fixed share would leave most of the bound unused; without shares, destinations that are down would take all.

**Each makes progress**: one that holds nothing is never held back, and each may have one request in flight.
So the bound can be passed by one event for each destination; ``config check`` warns where that does not fit.

Not thread-safe: everything here runs in the worker's event loop.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import structlog

from eventproc.logs import TELL_AGAIN_SECONDS

log = structlog.stdlib.get_logger("eventproc.delivery")

EVENT_BYTES: Final = 2048
"""Of an event in hand beside its value: objects, key, headers (measured: by ``eventproc plan``, too)."""

RESUME_SHARE: Final = 0.5
SWEEP_SHARE: Final = 1 / 32
"""Those held back are asked again each time this share of the bound has become free."""

SEARCH_SHARE: Final = 1 / 4
"""After so much was released, search for cycles that keep it: Python counts objects, not bytes."""


class HeldBytes:
    """The bound that accounts draw on together."""

    def __init__(
        self, max_bytes: int, what: str = "events", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._what = what
        self._monotonic = monotonic
        self._held_back: set[Account] = set()
        self._sweep_below = 0.0
        self._released_bytes = 0
        self._quiet_until = 0.0

    def account(self, has_room: Callable[[], None] = lambda: None) -> Account:
        """Open an account; ``has_room`` is called when one that was held back may go on."""
        return Account(self, has_room)

    @property
    def free_bytes(self) -> int:
        """What is left of the bound; below zero when it is passed."""
        return self.max_bytes - self.held_bytes

    @property
    def held_back(self) -> int:
        """How many accounts are held back."""
        return len(self._held_back)

    def add(self, count: int) -> None:
        """Count bytes that are no account's waiting events: bodies in flight."""
        self.held_bytes += count
        self._sweep_below = max(self._sweep_below, self.held_bytes - self.max_bytes * SWEEP_SHARE)

    def remove(self, count: int) -> None:
        """Count them no longer."""
        self.held_bytes -= count
        self._released_bytes += count
        if self._released_bytes > self.max_bytes * SEARCH_SHARE:
            self._released_bytes = 0
            gc.collect(1)
        if self._held_back and self.held_bytes <= self._sweep_below:
            self._sweep_below = self.held_bytes - self.max_bytes * SWEEP_SHARE
            for account in list(self._held_back):
                account.reconsider()

    def hold_back(self, account: Account) -> None:
        """Note that the account is held back, and report the first of several."""
        self._held_back.add(account)
        now = self._monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + TELL_AGAIN_SECONDS
            log.warning(
                "memory.held_back",
                what=self._what,
                held_bytes=self.held_bytes,
                max_bytes=self.max_bytes,
                held_back=len(self._held_back),
                hint="delivery.max_waiting_bytes is used up: events wait in Kafka meanwhile",
            )

    def let_go_on(self, account: Account) -> None:
        """Note that the account is held back no longer."""
        self._held_back.discard(account)


class Account:
    """What one destination holds."""

    def __init__(self, pool: HeldBytes, has_room: Callable[[], None]) -> None:
        self.pool = pool
        self.held_bytes = 0
        self._has_room = has_room

    @property
    def is_over(self) -> bool:
        """Whether it holds at least as much as is free for all; never when it holds nothing."""
        return self.held_bytes > 0 and self.held_bytes >= self.pool.free_bytes

    @property
    def may_go_on(self) -> bool:
        """Whether one that was held back has room again; lower than ``is_over``, or it would flutter."""
        return self.held_bytes <= 0 or self.held_bytes <= self.pool.free_bytes * RESUME_SHARE

    def add(self, count: int) -> None:
        """An event has come."""
        self.held_bytes += count
        self.pool.add(count)

    def remove(self, count: int) -> None:
        """Events have gone."""
        self.held_bytes -= count
        self.pool.remove(count)

    def reconsider(self) -> None:
        """Go on if there is room again."""
        if self.may_go_on:
            self._has_room()
