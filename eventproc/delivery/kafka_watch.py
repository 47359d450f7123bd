"""Whether Kafka is reachable: one state, with its start time and its cause, for all that would else guess.

::

                 a fetch was answered a moment ago, or a broker lets us in
      reachable <────────────────────────────────────────────────────────── unreachable
                ──────────────────────────────────────────────────────────> since, cause
                 no fetch answered for a while, and no broker lets us in

The worker's own fetches are the evidence and cost nothing. Only when they are silent (also a worker without
partitions fetches nothing) is a broker asked, over a connection of its own; its answer is the cause.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from mode import Service
from typing_extensions import assert_never

from eventproc.delivery.kafka_access import Access, LetIn, Refused, Unreachable
from eventproc.delivery.kafka_tls import KeyStoreError
from eventproc.times import from_ms, iso

log = structlog.stdlib.get_logger("eventproc")

LOOK_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 5.0
"""Above the longest wait of a fetch at the broker, 1.5 s, with room for a busy loop."""
TRUST_SECONDS: Final = 30.0
"""For so long an answer counts for a worker that fetches nothing; it asks again after half of it."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Kafka has been unreachable since then (seconds since the epoch, and of the watch's clock)."""

    since: float
    since_clock: float
    cause: str

    def __str__(self) -> str:
        return f"Kafka is unreachable since {iso(from_ms(int(self.since * 1000)))}: {self.cause}"


class KafkaWatch(Service):
    """Looks every few seconds; ``outage`` is None while Kafka is reachable.

    Args:
        answered_at: when a fetch was last answered, by ``clock``; None: never.
        ask: whether Kafka lets us in, and if not, why.
        clock: monotonic, in seconds.
        wall: in seconds since the epoch.
        kwargs: mode's.
    """

    def __init__(
        self,
        answered_at: Callable[[], float | None],
        ask: Callable[[], Awaitable[Access]],
        clock: Callable[[], float],
        wall: Callable[[], float],
        **kwargs: object,
    ) -> None:
        self._answered_at = answered_at
        self._ask = ask
        self._clock = clock
        self._wall = wall
        self._let_in_at = -math.inf
        self._reached_at = clock()
        self.outage: Outage | None = None
        super().__init__(**kwargs)

    @property
    def is_reachable(self) -> bool:
        """Whether there is evidence that it is reachable at this moment; without any, not yet an outage."""
        now, answered = self._clock(), self._answered_at()
        is_fresh = answered is not None and now - answered < SILENT_SECONDS
        return self.outage is None and (is_fresh or now - self._let_in_at < TRUST_SECONDS)

    @property
    def unreachable_seconds(self) -> float:
        """How long it has been unreachable; 0 while it is reachable."""
        return 0.0 if self.outage is None else max(0.0, self._clock() - self.outage.since_clock)

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self.look()
            await self.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look for evidence, and ask where there is none."""
        now, answered = self._clock(), self._answered_at()
        if answered is not None and now - answered < SILENT_SECONDS:
            self._reached(answered)
            return
        if self.outage is None and now - self._let_in_at < TRUST_SECONDS / 2:
            return
        problem = await self._problem()
        if problem is None:
            self._let_in_at = self._clock()
            self._reached(self._let_in_at)
        elif self.outage is None:
            self._lost(now, problem)

    async def _problem(self) -> str | None:
        try:
            access = await self._ask()
        except KeyStoreError as error:
            return str(error)
        match access:
            case LetIn():
                return None
            case Refused(problem) | Unreachable(problem):
                return problem
            case other:
                assert_never(other)

    def _reached(self, at: float) -> None:
        self._reached_at = max(self._reached_at, at)
        if self.outage is not None:
            log.info("kafka.reachable", unreachable_seconds=round(self._reached_at - self.outage.since_clock))
            self.outage = None

    def _lost(self, now: float, cause: str) -> None:
        since = self._wall() - (now - self._reached_at)
        self.outage = Outage(since, self._reached_at, cause)
        log.error(
            "kafka.unreachable",
            since=iso(from_ms(int(since * 1000))),
            cause=cause,
            hint="deliveries of what is in hand go on, and nothing is lost; see EventprocKafkaUnreachable in "
            "docs/operations.md",
        )
