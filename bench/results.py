"""What was measured, as numbers with their units. ``table`` shows it, ``targets`` judges it."""

from __future__ import annotations

import json
from dataclasses import dataclass

JWT = "jwt"
SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    processor: str
    cores: int
    memory_gb: int
    python: str
    loop: str
    kafka: str


@dataclass(frozen=True, slots=True)
class RouteResult:
    """The router alone, each event to ``topics`` internal topics; beside it one POST of the bare loop."""

    topics: int
    events_per_second: float
    cpu_us_per_event: float
    bare_cpu_us_per_post: float


@dataclass(frozen=True, slots=True)
class SinkResult:
    """One destination at a receiver that takes ``latency_ms``; beside it aiohttp alone."""

    auth: str
    latency_ms: int
    max_in_flight: int
    deliveries_per_second: float
    cpu_us_per_delivery: float
    bare_posts_per_second: float
    bare_cpu_us_per_post: float
    one_at_a_time_per_second: float

    @property
    def cpu_ratio(self) -> float:
        """Our CPU for a delivery over aiohttp's for a POST."""
        return self.cpu_us_per_delivery / self.bare_cpu_us_per_post


@dataclass(frozen=True, slots=True)
class PostResult:
    """One POST and its answer by our own connection, 64 at once; beside it aiohttp's client."""

    loop: str
    posts_per_second: float
    cpu_us_per_post: float
    bare_posts_per_second: float
    bare_cpu_us_per_post: float

    @property
    def cpu_ratio(self) -> float:
        """Our CPU for a POST over aiohttp's."""
        return self.cpu_us_per_post / self.bare_cpu_us_per_post


@dataclass(frozen=True, slots=True)
class EndToEndResult:
    """From publish to the receiver; ``events_per_second`` 0 is a single event after ``idle_seconds``."""

    events_per_second: int
    events: int
    idle_seconds: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class WorkersResult:
    """The same load on several processes."""

    workers: int
    deliveries_per_second: float
    cpu_us_per_delivery: float


@dataclass(frozen=True, slots=True)
class DestinationsResult:
    """The same load spread over many destinations."""

    destinations: int
    deliveries_per_second: float
    cpu_us_per_delivery: float


@dataclass(frozen=True, slots=True)
class BacklogResult:
    """Memory of one worker, idle and while so many events wait for a receiver that is down."""

    events: int
    idle_mb: float
    waiting_mb: float


@dataclass(frozen=True, slots=True)
class StartResult:
    """One worker from its start until it is ready, with topics to make and without; then doing nothing."""

    destinations: int
    first_seconds: float
    again_seconds: float
    idle_mb: float
    idle_cores: float


@dataclass(frozen=True, slots=True)
class Results:
    """One run; a section that was not asked for is empty."""

    date: str
    quick: bool
    machine: Machine
    route: tuple[RouteResult, ...] = ()
    post: tuple[PostResult, ...] = ()
    sink: tuple[SinkResult, ...] = ()
    end_to_end: tuple[EndToEndResult, ...] = ()
    workers: tuple[WorkersResult, ...] = ()
    destinations: tuple[DestinationsResult, ...] = ()
    start: tuple[StartResult, ...] = ()
    backlog: tuple[BacklogResult, ...] = ()


def read_results(text: str) -> Results:
    """What ``python -m bench`` has written to ``bench-results``."""
    found = json.loads(text)
    return Results(
        date=found["date"],
        quick=found["quick"],
        machine=Machine(**found["machine"]),
        route=tuple(RouteResult(**row) for row in found["route"]),
        post=tuple(PostResult(**row) for row in found.get("post", ())),
        sink=tuple(SinkResult(**row) for row in found["sink"]),
        end_to_end=tuple(EndToEndResult(**row) for row in found["end_to_end"]),
        workers=tuple(WorkersResult(**row) for row in found["workers"]),
        destinations=tuple(DestinationsResult(**row) for row in found["destinations"]),
        start=tuple(StartResult(**row) for row in found.get("start", ())),
        backlog=tuple(BacklogResult(**row) for row in found["backlog"]),
    )
