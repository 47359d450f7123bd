"""What one run found, as it is kept: numbers with their units. Times are seconds since the load began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from bench.results import Machine
from tests.chaos.ledger import Tally

MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One process at one moment; after a restart the ``pid`` is another."""

    pid: int
    rss_mb: float
    descriptors: int
    threads: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment; of each worker, None while it is down."""

    at: float
    workers: tuple[ProcessSample | None, ...]
    broker: ProcessSample
    published: int
    delivered: int
    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done to a worker or a receiver.

    ``what`` is ``restart``, ``kill`` or the name of a fault; ``at`` is when it began, for a kill the moment
    of the signal; ``problem`` says what went wrong with it.
    """

    at: float
    until: float
    what: str
    whom: str
    problem: str | None = None


RESTART: Final = "restart"
KILL: Final = "kill"


@dataclass(frozen=True, slots=True)
class SoakResult:
    """One run. The first worker is the one that is never restarted.

    ``capacity_per_second`` is what the set-up sustained, None where the rate was given. ``repeated_unasked``
    counts repetitions that no kill explains; ``set_aside`` the dead letters and the unreadable records.
    ``ready`` and ``at_rest`` are the first worker before the load and some time after it.
    """

    date: str
    machine: Machine
    seed: int
    workers: int
    clients: int
    events_per_second: float
    capacity_per_second: float | None
    asked_seconds: float
    load_seconds: float
    drain_seconds: float
    ended_early: bool
    is_shared: bool
    tally: Tally
    repeated_unasked: int
    unverified: int
    set_aside: int
    problems: tuple[str, ...]
    marks: tuple[Mark, ...]
    samples: tuple[Sample, ...]
    ready: ProcessSample | None = None
    at_rest: ProcessSample | None = None

    def count(self, what: str) -> int:
        """How often something was done."""
        return sum(mark.what == what for mark in self.marks)


RESULT: Final = TypeAdapter(SoakResult)
SAMPLE: Final = TypeAdapter(Sample)
MARK: Final = TypeAdapter(Mark)
