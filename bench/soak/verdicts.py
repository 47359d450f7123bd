"""What is asked of a run: all delivered, in order, nothing repeated but by a kill, and nothing that grows.

Growth is the median over the last quarter of the load against the median over the second, of the worker that
is never restarted. The first quarter is left out: a worker warms up in it. Medians, as a fault makes a worker
hold more for a while; what such a while leaves behind is what they show. Descriptors are connections to
receivers for the most part, as many as that moment's load needs: those are compared at rest, before the load
and after it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from bench.lab import MAX_IN_FLIGHT
from bench.soak.ledger import Repetition
from bench.soak.results import KILL, ProcessSample, SoakResult
from bench.targets import Verdict

LONG_LIVED: Final = 0
MEMORY_SHARE: Final = 0.05
MEMORY_MB: Final = 10.0
DESCRIPTORS: Final = 8.0
"""More at rest: some connections to the broker are made when they are needed first. What leaks with every
fault or restart is more than that in an hour."""
DESCRIPTORS_UNDER_LOAD: Final = 2.0
THREADS: Final = 2.0
LEAST_SAMPLES: Final = 4
"""In a quarter; with fewer nothing is said, and that is a miss."""

KILL_SECONDS: Final = 5.0
"""A kill repeats what had come shortly before: in flight at a slow receiver, or not committed yet."""
NOTICED_SECONDS: Final = 2.0
"""What a killed worker had written to a socket, a busy receiver reads later."""
UNCOMMITTED_SECONDS: Final = 0.5
"""Of deliveries that one kill may repeat, beside what is in flight; commits are 0.1 s apart."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The medians of the second quarter and of the last; NaN where there are too few samples."""

    second: float
    last: float

    @property
    def more(self) -> float:
        """How much it grew."""
        return self.last - self.second


def growth(result: SoakResult, pick: Callable[[ProcessSample], float]) -> Growth:
    """Of one thing that the long-lived worker holds."""
    return _growth(result, [(at, pick(held)) for at, held in _long_lived(result)])


def cpu_share(result: SoakResult) -> Growth:
    """Of one core, between samples."""
    shares = [
        (at, (held.cpu_seconds - before.cpu_seconds) / (at - began))
        for (began, before), (at, held) in pairwise(_long_lived(result))
    ]
    return _growth(result, shares)


def _long_lived(result: SoakResult) -> list[tuple[float, ProcessSample]]:
    return [(sample.at, held) for sample in result.samples if (held := sample.workers[LONG_LIVED])]


def _growth(result: SoakResult, series: Sequence[tuple[float, float]]) -> Growth:
    quarter = result.load_seconds / 4
    return Growth(
        _median([value for at, value in series if quarter <= at < 2 * quarter]),
        _median([value for at, value in series if 3 * quarter <= at <= 4 * quarter]),
    )


def memory(result: SoakResult) -> Growth:
    """Resident memory in MB."""
    return growth(result, lambda held: held.rss_mb)


def descriptors(result: SoakResult) -> Growth:
    """Open file descriptors."""
    return growth(result, lambda held: held.descriptors)


def threads(result: SoakResult) -> Growth:
    """Threads."""
    return growth(result, lambda held: held.threads)


def repeated_unasked(repetitions: Iterable[Repetition], kills: Sequence[float]) -> int:
    """Repetitions that no kill explains; times on one clock."""
    return sum(
        not any(
            kill - KILL_SECONDS <= one.before <= kill + NOTICED_SECONDS and one.again >= kill
            for kill in kills
        )
        for one in repetitions
    )


def judge(result: SoakResult) -> list[Verdict]:
    """Everything that is asked, with what was found."""
    tally, kills = result.tally, result.count(KILL)
    # After an outage a worker has all in flight that it may, to each destination.
    in_flight = MAX_IN_FLIGHT * (1 + result.clients)
    uncommitted = UNCOMMITTED_SECONDS * tally.received / result.load_seconds
    held = memory(result)
    return [
        Verdict("deliveries lost", tally.lost, 0),
        Verdict("deliveries out of order", tally.out_of_order, 0),
        Verdict("repeated without a kill", result.repeated_unasked, 0),
        Verdict("repeated by kills", tally.duplicates, kills * (in_flight + uncommitted)),
        Verdict("received by whom it was not due, or after it was forgotten", tally.strangers, 0),
        Verdict("requests that could not be verified", result.unverified, 0),
        Verdict("set aside: dead letters and unreadable records", result.set_aside, 0),
        Verdict("steps that went wrong", len(result.problems), 0),
        Verdict("memory: MB that the median grew", held.more, max(MEMORY_MB, MEMORY_SHARE * held.second)),
        _descriptors(result),
        Verdict("threads: what the median grew", threads(result).more, THREADS),
    ]


def _descriptors(result: SoakResult) -> Verdict:
    """At rest; under load where nobody looked at rest, which is the stricter: connections count, too."""
    if result.ready is None or result.at_rest is None:
        return Verdict(
            "file descriptors: what the median grew", descriptors(result).more, DESCRIPTORS_UNDER_LOAD
        )
    more = result.at_rest.descriptors - result.ready.descriptors
    return Verdict("file descriptors at rest: more than before the load", more, DESCRIPTORS)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if len(values) >= LEAST_SAMPLES else math.nan
