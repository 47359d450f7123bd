"""Tells a worker that is stuck from one that waits for good reason, and ends the stuck one.

Stuck: records are there, nothing is done for a while, and no breaker is open, no operator has paused, nothing
waits for its next try. Such a worker reports itself not ready and leaves, for its supervisor to start anew.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import structlog
from mode import Service

from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine
from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId

log = structlog.stdlib.get_logger("eventproc")

LOOK_SECONDS: Final = 1.0


class StuckError(EventprocError):
    """The worker has work and does not get on with it."""


class RouterView(Protocol):
    """What the watch sees of the router."""

    @property
    def outstanding(self) -> int:
        """Records accepted and not done."""


class ProgressWatch(Service):
    """Looks once a second; ``stuck_seconds`` is zero while all is well."""

    def __init__(
        self,
        app: Any,
        router: RouterView,
        engines: dict[DestinationId, Engine],
        limit_seconds: float,
        **kwargs: Any,
    ) -> None:
        self._app = app
        self._router = router
        self._engines = engines
        self._limit_seconds = limit_seconds
        self._last: dict[str, tuple[int, float]] = {}
        self.stuck_seconds = 0.0
        self.stuck_at = ""
        super().__init__(**kwargs)

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            self.look(self.loop.time())
            if self.stuck_seconds > self._limit_seconds:
                log.critical("worker.stuck", at=self.stuck_at, seconds=round(self.stuck_seconds))
                await self.crash(StuckError(f"{self.stuck_at} does not get on"))
                return

    def look(self, now: float) -> None:
        """Compare what is done with the last look."""
        self.stuck_seconds, self.stuck_at = 0.0, ""
        if self._app.rebalancing:
            self._last.clear()
            return
        for name, done, has_work in self._progress():
            before, since = self._last.get(name, (done, now))
            if not has_work or done != before:
                since = now
            self._last[name] = (done, since)
            if now - since > self.stuck_seconds:
                self.stuck_seconds, self.stuck_at = now - since, name

    def _progress(self) -> list[tuple[str, int, bool]]:
        found = [
            ("router", _positions(self._router), self._router.outstanding > 0),
        ]
        for engine in self._engines.values():
            stats = engine.stats
            done = stats.deliveries + stats.dead_lettered + stats.attempt_latency.count
            waits_for_reason = (
                engine.breaker.state is not BreakerState.CLOSED
                or engine.is_paused_by_operator
                or engine.waits_only_for_retries
            )
            found.append((engine.destination.id, done, engine.waiting > 0 and not waits_for_reason))
        return found


def _positions(router: Any) -> int:
    return sum(progress.watermark or 0 for progress in router.partitions.values())
