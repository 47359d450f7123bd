"""Tells a worker that is stuck from one that waits for good reason, and ends the stuck one.

Stuck: there is lag, or there are records in hand, and neither a read nor a delivery nor an attempt happens
for a while, although no breaker is open, no operator has paused, and nothing merely waits for its next try.
Such a worker reports itself not ready and leaves, for its supervisor to start anew.

Time counts only while Kafka is reachable, and between two looks at most twice the interval: a machine that
was suspended, or is too slow for its work, gave the worker no chance to get on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from mode import Service

from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine
from eventproc.delivery.partitions import Partition
from eventproc.errors import EventprocError
from eventproc.watermark import PartitionProgress

log = structlog.stdlib.get_logger("eventproc")

LOOK_SECONDS: Final = 5.0
"""At most: a look at 1,000 destinations takes 50 ms."""


class StuckError(EventprocError):
    """The worker has work and does not get on with it."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One look at one part: ``done`` changes whenever it gets on; ``should_move`` says that it ought to."""

    name: str
    done: int
    should_move: bool


class KafkaView(Protocol):
    """What the watch has to know of Kafka."""

    @property
    def outage(self) -> object | None:
        """Why it is unreachable, None when it is not."""

    @property
    def is_reachable(self) -> bool:
        """Whether there is evidence that it is reachable at this moment."""


class ProgressWatch(Service):
    """Looks every few seconds; ``stuck_seconds`` is zero while all is well."""

    def __init__(
        self,
        pulses: Callable[[], Iterable[Pulse]],
        is_rebalancing: Callable[[], bool],
        kafka: KafkaView,
        limit_seconds: float,
        **kwargs: Any,
    ) -> None:
        self._pulses = pulses
        self._is_rebalancing = is_rebalancing
        self._kafka = kafka
        self._limit_seconds = limit_seconds
        self._interval = min(LOOK_SECONDS, limit_seconds / 10)
        self._looked_at: float | None = None
        self._counted = 0.0
        self._last: dict[str, tuple[int, float]] = {}
        self.stuck_seconds = 0.0
        self.stuck_at = ""
        super().__init__(**kwargs)

    @property
    def is_suspicious(self) -> bool:
        """Half of the bound is over: not ready, though not given up yet."""
        return self.stuck_seconds > self._limit_seconds / 2

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(self._interval)
            self.look(self.loop.time())
            if self.stuck_seconds > self._limit_seconds:
                log.critical("worker.stuck", at=self.stuck_at, seconds=round(self.stuck_seconds))
                await self.crash(StuckError(f"{self.stuck_at} does not get on"))
                return

    def look(self, now: float) -> None:
        """Compare with the last look; ``now`` in seconds of any clock that only grows."""
        elapsed = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        self.stuck_seconds, self.stuck_at = 0.0, ""
        if self._is_rebalancing() or self._kafka.outage is not None:
            self._last.clear()
            return
        if self._kafka.is_reachable:
            self._counted += min(elapsed, self._interval * 2)
        for pulse in self._pulses():
            before, since = self._last.get(pulse.name, (pulse.done, self._counted))
            if not pulse.should_move or pulse.done != before:
                since = self._counted
            self._last[pulse.name] = (pulse.done, since)
            if self._counted - since > self.stuck_seconds:
                self.stuck_seconds, self.stuck_at = self._counted - since, pulse.name


def lag(partitions: Mapping[Partition, PartitionProgress], highwater: Callable[[Any], int | None]) -> int:
    """Records in Kafka that are not done, as far as the last fetch knew."""
    total = 0
    for partition, progress in partitions.items():
        end, watermark = highwater(partition), progress.watermark
        if end is not None and watermark is not None:
            total += max(0, end - watermark)
    return total


def reading_pulse(
    flowing: Iterable[Mapping[Partition, PartitionProgress]], readable_end: Callable[[Any], int | None]
) -> Pulse:
    """Whether records arrive: there are some beyond what was read, of partitions whose tap no one has shut.

    One pulse for all, because one consumer reads all: with a thousand partitions on a slow machine one of
    them waits for long while others are read.
    """
    done, unread = 0, False
    for partitions in flowing:
        for partition, progress in partitions.items():
            position = progress.next_offset
            if position is not None:
                done += position
                unread = unread or (readable_end(partition) or 0) > position
    return Pulse("reading", done, unread)


def engine_pulse(engine: Engine) -> Pulse:
    """Whether a destination's events in hand get on."""
    stats = engine.stats
    waits_for_good_reason = (
        engine.breaker.state is not BreakerState.CLOSED
        or engine.is_paused_by_operator
        or engine.waits_only_for_retries
        or engine.waits_for_its_pace
    )
    done = stats.deliveries + stats.dead_lettered + stats.attempt_latency.count
    return Pulse(engine.destination.id, done, engine.waiting > 0 and not waits_for_good_reason)
