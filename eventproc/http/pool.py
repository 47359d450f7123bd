"""The connections of one sender: which one is used next, and when another one is opened.

The connection used last is used next, so that those that a busy moment has left over time out; in the order
of aiohttp's client, the one idle for longest, all of them stay in use for ever.

Where none is idle, most are a moment later, and one more is dearer than a delivery: two events for each of
1,000 destinations would open 1,000. So up to ``PATIENCE`` requests in a row wait for that moment, and no
more of them: many at once need connections of their own. A connection that becomes idle goes to the request
that waits longest.

The number of connections has no limit here: the engine has ``delivery.max_in_flight`` requests under way at
most, and fewer where the receiver serves fewer connections (``crowding``). While connections are unserved,
those that become idle are closed: the receiver turns to the next one only then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from eventproc.http.connection import Connection, Owner, Unanswered
from eventproc.http.crowding import UNSERVED_SECONDS, Answered, Crowding, is_crowd, is_unserved
from eventproc.http.keep_alive import KeepAlive

PATIENCE: Final = 2
PATIENCE_SECONDS: Final = 0.02
"""So many requests in a row may wait for a connection that is in use, each so long."""

CLOSING_SECONDS: Final = 1.0

Dial: TypeAlias = Callable[[Callable[[], Connection], float], Awaitable[Connection | Unanswered]]
"""(what makes the protocol, deadline) -> a connection that stands, or why there is none."""


class Pool:
    """Made within the running loop.

    Args:
        dial: opens a connection.
        excerpt_bytes: how much of a response's body is kept.
        crowding: hears how many connections are served.
    """

    def __init__(self, dial: Dial, excerpt_bytes: int, crowding: Crowding) -> None:
        self._loop = asyncio.get_running_loop()
        self._dial = dial
        self._open: set[Connection] = set()
        keep_alive = KeepAlive(self._loop.time)
        self._owner = Owner(self._made, self._idle_again, self._lost, keep_alive, excerpt_bytes)
        self._idle: list[Connection] = []
        self._dials: dict[object, float] = {}
        """Those under way, and since when."""
        self._fresh: set[Connection] = set()
        """Those that have answered nothing yet."""
        self._crowding = crowding
        self._last: Answered | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._patience = PATIENCE
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._all_lost: asyncio.Future[None] | None = None

    def take(self) -> Connection | None:
        """An idle connection, the one used last; None: ``connect`` has to be awaited."""
        while self._idle:
            connection = self._idle.pop()
            if connection.can_be_used(self._loop.time()):
                self._patience = PATIENCE
                return connection
            connection.close()
        return None

    async def connect(self, deadline: float) -> Connection | Unanswered:
        """Wait a moment for a connection that is in use, or open one."""
        if self._patience and (self._dials or len(self._open) > len(self._idle)):
            self._patience -= 1
            connection = await self._wait_for_idle()
            if connection is not None:
                return connection
        dial = object()
        self._dials[dial] = begun_at = self._loop.time()
        try:
            found = await self._dial(partial(self._make, begun_at), deadline)
        finally:
            del self._dials[dial]
        if isinstance(found, Unanswered):
            self._wake(None)
        return found

    async def close(self) -> None:
        """Close all connections; requests under way are not answered. Others can be opened afterwards."""
        self._idle.clear()
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        for connection in tuple(self._open):
            connection.abort()
        if self._open:
            self._all_lost = self._loop.create_future()
            await asyncio.wait({self._all_lost}, timeout=CLOSING_SECONDS)

    def _make(self, begun_at: float) -> Connection:
        return Connection(self._loop, self._owner, begun_at)

    def _made(self, connection: Connection) -> None:
        self._open.add(connection)
        self._fresh.add(connection)

    def _idle_again(self, connection: Connection) -> None:
        if connection in self._fresh:
            self._fresh.discard(
                connection
            )  # its answer is no evidence: it may itself have waited to be served
        else:
            self._last = connection.last_answered
        self._crowding.answered()
        if (self._fresh or self._dials) and self._is_crowded():
            connection.close()
        elif not self._wake(connection):
            self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._fresh.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._wake(None)
        if not self._open and self._all_lost is not None and not self._all_lost.done():
            self._all_lost.set_result(None)

    def _waiting_for_the_first_answer(self) -> list[float]:
        """Since when each of them waits."""
        waiting = [since for one in self._fresh if (since := one.waits_since) is not None]
        return [*waiting, *self._dials.values()]

    def _is_crowded(self) -> bool:
        """Whether a connection is unserved; else they are looked at once more in a while."""
        now, waiting = self._loop.time(), self._waiting_for_the_first_answer()
        if waiting:
            self._look_later()
        unserved = sum(is_unserved(since, now, self._last) for since in waiting)
        served = len(self._open) - len(self._fresh)
        if is_crowd(unserved, served):
            self._crowding.unserved(served)
            return True
        is_known = self._crowding.limit is not None
        return is_known and any(now - since >= UNSERVED_SECONDS for since in waiting)

    def _look_later(self) -> None:
        if self._look_timer is None:
            self._look_timer = self._loop.call_later(UNSERVED_SECONDS, self._look)

    def _look(self) -> None:
        self._look_timer = None
        if (self._fresh or self._dials) and self._is_crowded():
            while self._idle:
                self._idle.pop().close()

    async def _wait_for_idle(self) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        # In two steps: what has come while the loop was busy is read between them.
        timer = self._loop.call_later(PATIENCE_SECONDS, self._loop.call_later, 0.001, _give, waiter, None)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (connection := waiter.result()) is not None:
                self._idle_again(connection)
            raise
        finally:
            timer.cancel()

    def _wake(self, connection: Connection | None) -> bool:
        """Whether a request waited."""
        while self._waiting:
            if _give(self._waiting.popleft(), connection):
                return True
        return False


def _give(waiter: asyncio.Future[Connection | None], connection: Connection | None) -> bool:
    """Whether it was still waiting: not for long enough, and not cancelled."""
    if waiter.done():
        return False
    waiter.set_result(connection)
    return True
