"""Is it still as fast as it was: ratios within one run, so that the machine's speed drops out.

The absolute ones (latency, memory) leave room for a slow machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import JWT, SIGNATURE, Results, SinkResult

SINK_CPU_RATIO = {JWT: 2.0, SIGNATURE: 2.4}
POST_CPU_RATIO = {"uvloop": 0.25, "asyncio": 0.45}
SLOW_RECEIVER_MS = 50
SLOW_RECEIVER_SHARE = 0.9
ROUTE_TOPICS = 2
ROUTE_CPU_RATIO = 1.5
END_TO_END_RATE = 100
END_TO_END_P50_MS = 15.0
END_TO_END_P99_MS = 60.0
MANY_DESTINATIONS, FEW_DESTINATIONS = 1000, 10
MANY_DESTINATIONS_RATIO = 1.3
START_DESTINATIONS = 2500
START_SECONDS, START_IDLE_MB = 30.0, 400.0
BACKLOG_MB = 50.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target and what was measured."""

    what: str
    measured: float
    target: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the target is reached; what could not be measured (NaN) is a miss."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target


def judge(results: Results) -> list[Verdict]:
    """Every target whose section was measured."""
    return [
        *_route(results),
        *_post(results),
        *_sink(results),
        *_end_to_end(results),
        *_destinations(results),
        *_start(results),
        *_backlog(results),
    ]


def _route(results: Results) -> Iterator[Verdict]:
    for result in results.route:
        if result.topics == ROUTE_TOPICS:
            ratio = result.cpu_us_per_event / result.bare_cpu_us_per_post
            yield Verdict("route: CPU per event, two topics, over aiohttp's per POST", ratio, ROUTE_CPU_RATIO)


def _post(results: Results) -> Iterator[Verdict]:
    for result in results.post:
        what = f"post: CPU of a POST over aiohttp's, {result.loop}"
        yield Verdict(what, result.cpu_ratio, POST_CPU_RATIO[result.loop])


def _sink(results: Results) -> Iterator[Verdict]:
    full_speed = {result.auth: result for result in results.sink if result.latency_ms == 0}
    for auth, result in full_speed.items():
        what = f"sink: CPU per delivery over aiohttp's per POST, {auth}"
        yield Verdict(what, result.cpu_ratio, SINK_CPU_RATIO[auth])
    for result in results.sink:
        if result.latency_ms == SLOW_RECEIVER_MS and result.auth in full_speed:
            what = f"sink: share of what {result.max_in_flight} in flight allow at 50 ms, {result.auth}"
            yield Verdict(what, _share(result, full_speed[result.auth]), SLOW_RECEIVER_SHARE, at_least=True)


def _share(result: SinkResult, full_speed: SinkResult) -> float:
    possible = min(result.max_in_flight / (result.latency_ms / 1000), full_speed.deliveries_per_second)
    return result.deliveries_per_second / possible


def _end_to_end(results: Results) -> Iterator[Verdict]:
    for result in results.end_to_end:
        if result.events_per_second == END_TO_END_RATE:
            yield Verdict("end to end: p50 in ms at 100 events/s", result.p50_ms, END_TO_END_P50_MS)
            yield Verdict("end to end: p99 in ms at 100 events/s", result.p99_ms, END_TO_END_P99_MS)


def _destinations(results: Results) -> Iterator[Verdict]:
    cpu = {result.destinations: result.cpu_us_per_delivery for result in results.destinations}
    if MANY_DESTINATIONS in cpu and FEW_DESTINATIONS in cpu:
        ratio = cpu[MANY_DESTINATIONS] / cpu[FEW_DESTINATIONS]
        yield Verdict("destinations: CPU per delivery, 1,000 over 10", ratio, MANY_DESTINATIONS_RATIO)


def _start(results: Results) -> Iterator[Verdict]:
    for result in results.start:
        if result.destinations == START_DESTINATIONS:
            many = f"{result.destinations:,} destinations"
            yield Verdict(
                f"start: s until ready with {many}, topics made", result.first_seconds, START_SECONDS
            )
            yield Verdict(f"start: idle MB with {many}", result.idle_mb, START_IDLE_MB)


def _backlog(results: Results) -> Iterator[Verdict]:
    for result in results.backlog:
        what = f"backlog: MB that {result.events:,} waiting events add"
        yield Verdict(what, result.waiting_mb - result.idle_mb, BACKLOG_MB)
