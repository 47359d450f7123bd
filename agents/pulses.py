"""What in a worker must make progress: the router, the reading of partitions, and each destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from agents.router import Router
from eventproc.delivery.engine import Engine
from eventproc.delivery.partitions import Partition
from eventproc.delivery.watchdog import Pulse, engine_pulse, reading_pulse
from eventproc.identifiers import DestinationId


def pulses(
    router: Router,
    engines: Mapping[DestinationId, Engine],
    readable_end: Callable[[], Callable[[Partition], int | None]],
) -> Iterator[Pulse]:
    """Return how far each is; ``readable_end`` gives the ends of the partitions assigned at present."""
    yield Pulse("router", sum(p.watermark or 0 for p in router.partitions.values()), router.outstanding > 0)
    flowing = [] if router.is_holding_back else [router.partitions]
    flowing += [engine.partitions for engine in engines.values() if not engine.is_holding_back]
    yield reading_pulse(flowing, readable_end())
    yield from map(engine_pulse, engines.values())
