"""How long an event is under way, from publish to its arrival at the receiver, with hardly anything to do.

The publisher, the worker and the receiver are three processes on one clock. The source and the destination
have their usual partitions, and the event its usual two hops through Kafka.
"""

from __future__ import annotations

import asyncio
import time

from bench.lab import PARTITIONS, Lab
from bench.load import Load
from bench.percentiles import percentile
from bench.publisher import Publisher, publisher
from bench.results import EndToEndResult
from tests.servers.anchor_env import Names

RATES = (10, 100, 500)
WINDOWS = 3
"""At each rate: in one of 10 s, with 1,000 events, a single moment's pause of the machine is the p99."""
WARM_UP_EVENTS, WARM_UP_RATE = 3000, 300
"""A broker just started is two to three times slower: its virtual machine has compiled nothing yet."""
ARRIVAL_SECONDS = 30.0
_POLL_SECONDS = 0.1


async def measure(lab: Lab) -> tuple[EndToEndResult, ...]:
    """At each rate, then one event after nothing."""
    names = Names.unique()
    await lab.broker.create_topics({names.source: PARTITIONS})
    await lab.receiver.set(record=True)
    async with (
        lab.worker(lab.env(names, business=True)),
        publisher(lab.broker.bootstrap, names.source) as source,
    ):
        await _latencies_ms(lab, source, Load(WARM_UP_EVENTS, mark=1), WARM_UP_RATE)
        found = [await _at_rate(lab, source, rate) for rate in RATES]
        return (*found, await _after_nothing(lab, source))


async def _at_rate(lab: Lab, source: Publisher, rate: int) -> EndToEndResult:
    load = Load(round(rate * WINDOWS * lab.options.window_seconds), mark=0x1000 + rate)
    latencies = await _latencies_ms(lab, source, load, rate)
    return _result(lab, f"{rate} events/s", rate, 0.0, latencies)


async def _after_nothing(lab: Lab, source: Publisher) -> EndToEndResult:
    idle_seconds = lab.options.idle_seconds
    await asyncio.sleep(idle_seconds)
    # The wait before the first event of a load is part of its schedule; here it shall go at once.
    latencies = await _latencies_ms(lab, source, Load(1, mark=2), per_second=1000)
    return _result(lab, f"after {idle_seconds:g} s of nothing", 0, idle_seconds, latencies)


def _result(lab: Lab, what: str, rate: int, idle_seconds: float, latencies: list[float]) -> EndToEndResult:
    result = EndToEndResult(
        rate, len(latencies), idle_seconds, percentile(latencies, 50), percentile(latencies, 99)
    )
    lab.tell(f"end to end, {what}: p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms")
    return result


async def _latencies_ms(lab: Lab, source: Publisher, load: Load, per_second: float) -> list[float]:
    """Of every event of the load.

    Raises:
        TimeoutError: some have not arrived.
    """
    published = await source.publish(load, per_second)
    arrived: dict[str, int] = {}
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        arrived = await lab.receiver.arrivals() | arrived
        missing = published.keys() - arrived.keys()
        if not missing:
            return [(arrived[event] - at) / 1e6 for event, at in published.items()]
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"{len(missing)} of {load.events} events have not arrived: {sorted(missing)[:3]}"
            )
        await asyncio.sleep(_POLL_SECONDS)
