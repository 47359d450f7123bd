"""The last hour of each destination: its counters read every quarter of a minute, for rates and sparklines.

The delivery path knows nothing of it. What is kept is differences, as four bytes each in a ring; a
destination costs 2 KB from its first delivery or failure on, and nothing before.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from mode import Service

from eventproc.delivery.stats import DestinationStats
from eventproc.destinations import Destination
from eventproc.identifiers import DestinationId

SAMPLE_SECONDS: Final = 15.0
SAMPLES: Final = 240
SAMPLES_PER_MINUTE: Final = 4
MINUTES: Final = SAMPLES // SAMPLES_PER_MINUTE

_MOST: Final = 2**32 - 1


class Counted(Protocol):
    """What is looked at: an engine."""

    destination: Destination
    stats: DestinationStats


class Rates(NamedTuple):
    """Per second, over the ``seconds`` that were looked at: less than asked for when the worker is young."""

    delivered: float
    failed: float
    seconds: float


class Minutes(NamedTuple):
    """The last hour minute by minute, the oldest first; failed counts attempts, delivered counts events."""

    delivered: list[int]
    failed: list[int]


def _ring() -> array[int]:
    return array("I", bytes(4 * SAMPLES))


@dataclass(slots=True)
class _Series:
    """One destination: the counters at the last sample, and what each sample added."""

    last: tuple[int, int] = (0, 0)
    delivered: array[int] = field(default_factory=_ring)
    failed: array[int] = field(default_factory=_ring)

    def since(self, samples: int, position: int) -> tuple[int, int]:
        """What the last samples added."""
        slots = [(position - back) % SAMPLES for back in range(samples)]
        return sum(self.delivered[slot] for slot in slots), sum(self.failed[slot] for slot in slots)


class History(Service):
    """Samples while it runs; ``monotonic`` gives seconds that only grow."""

    def __init__(
        self,
        engines: Callable[[], Iterable[Counted]],
        monotonic: Callable[[], float] = time.monotonic,
        every_seconds: float = SAMPLE_SECONDS,
        **kwargs: Any,
    ) -> None:
        self._engines = engines
        self._monotonic = monotonic
        self._every_seconds = every_seconds
        self._series: dict[DestinationId, _Series] = {}
        self._times = array("d", [monotonic()] * SAMPLES)
        self._taken = 0
        super().__init__(**kwargs)

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.sleep(self._every_seconds)
            self.sample()

    def sample(self) -> None:
        """Read every counter once."""
        self._taken += 1
        slot = self._taken % SAMPLES
        self._times[slot] = self._monotonic()
        for engine in self._engines():
            series, counts = self._series.get(engine.destination.id), _counts(engine.stats)
            if series is None:
                if counts == (0, 0):
                    continue
                series = self._series[engine.destination.id] = _Series()
            series.delivered[slot] = min(_MOST, counts[0] - series.last[0])
            series.failed[slot] = min(_MOST, counts[1] - series.last[1])
            series.last = counts

    def rates(self, engine: Counted, minutes: int) -> Rates:
        """Of about the last ``minutes``, up to this moment; 59 at most."""
        samples = min(minutes * SAMPLES_PER_MINUTE, self._taken)
        seconds = max(0.001, self._monotonic() - self._times[(self._taken - samples) % SAMPLES])
        delivered, failed = self._unsampled(engine)
        if (series := self._series.get(engine.destination.id)) is not None:
            earlier = series.since(samples, self._taken)
            delivered, failed = delivered + earlier[0], failed + earlier[1]
        return Rates(delivered / seconds, failed / seconds, seconds)

    def last_hour(self, engine: Counted) -> Minutes:
        """Minute by minute; the last one ends now and takes what is not sampled yet."""
        found = Minutes([0] * MINUTES, [0] * MINUTES)
        if (series := self._series.get(engine.destination.id)) is not None:
            for back in range(min(SAMPLES, self._taken)):
                minute, slot = MINUTES - 1 - back // SAMPLES_PER_MINUTE, (self._taken - back) % SAMPLES
                found.delivered[minute] += series.delivered[slot]
                found.failed[minute] += series.failed[slot]
        delivered, failed = self._unsampled(engine)
        found.delivered[-1] += delivered
        found.failed[-1] += failed
        return found

    def _unsampled(self, engine: Counted) -> tuple[int, int]:
        series, counts = self._series.get(engine.destination.id), _counts(engine.stats)
        last = (0, 0) if series is None else series.last
        return counts[0] - last[0], counts[1] - last[1]


def _counts(stats: DestinationStats) -> tuple[int, int]:
    return stats.deliveries, stats.rejected + stats.failed.total()
