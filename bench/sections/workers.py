"""One process and two, from TRANSACTION to the receiver.

The receiver and Kafka run on the same machine: with two cores a second worker has none of its own, and what
is left to see is whether a delivery costs more when the work is shared.
"""

from __future__ import annotations

from bench.lab import Lab
from bench.load import Load
from bench.passage import pass_through
from bench.results import WorkersResult
from tests.servers.anchor_env import Names

WORKERS = (1, 2)
EVENTS_PER_SECOND = 5_000
"""About what one worker does, so that a passage takes about a window."""


async def measure(lab: Lab) -> tuple[WorkersResult, ...]:
    """The same load with topics and group of its own each time."""
    return tuple([await _measure(lab, workers) for workers in WORKERS])


async def _measure(lab: Lab, workers: int) -> WorkersResult:
    names = Names.unique()
    load = Load(round(EVENTS_PER_SECOND * lab.options.window_seconds))
    window = await pass_through(lab, lab.env(names, business=True), names, load, workers=workers)
    lab.tell(f"workers, {workers}: {window.per_second:,.0f}/s, {window.cpu_us_each:.0f} us")
    return WorkersResult(workers, window.per_second, window.cpu_us_each)
