"""Memory of a worker that has nothing to do, and while a backlog grows behind a receiver that refuses all.

The events come by the way of every event, so the worker routes the whole backlog while it waits. What counts
is the most that was seen from the first event on, not what is left when it is quiet again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bench.fill import fill
from bench.lab import PARTITIONS, Lab
from bench.load import Load
from bench.results import BacklogResult
from bench.window import wait_for_count
from tests.servers.anchor_env import Names
from tests.servers.worker import WorkerProcess

IDLE_SECONDS = 3.0
WAITING_SECONDS = 3.0
LEAST_ROUTED_PER_SECOND = 1_000
REFUSAL = 503
DESTINATION = "callback-api"
MEGABYTE = 1e6
_POLL_SECONDS = 0.1


async def measure(lab: Lab) -> tuple[BacklogResult, ...]:
    """One worker, one destination that is down."""
    names, load = Names.unique(), Load(lab.options.backlog_events)
    topic = names.topic(DESTINATION)
    await lab.broker.create_topics({names.source: PARTITIONS, topic: PARTITIONS})
    await lab.receiver.set(status=REFUSAL)
    async with (
        lab.end_offset_counter(topic) as waiting,
        lab.worker(lab.env(names, business=True)) as worker,
    ):
        await asyncio.sleep(IDLE_SECONDS)
        idle_mb = worker.memory_bytes / MEGABYTE
        async with _most_memory(worker) as seen:
            await fill(lab.broker.bootstrap, names.source, load.source_records())
            await wait_for_count(waiting.count, load.events, 30.0 + load.events / LEAST_ROUTED_PER_SECOND)
            await asyncio.sleep(WAITING_SECONDS)
        await _check_that_it_waits(lab, worker)
    result = BacklogResult(load.events, idle_mb, max(seen) / MEGABYTE)
    lab.tell(
        f"backlog, {load.events:,} events: {idle_mb:.0f} MB idle, {result.waiting_mb:.0f} MB at most, "
        f"{seen[-1] / MEGABYTE:.0f} MB at the end"
    )
    return (result,)


@asynccontextmanager
async def _most_memory(worker: WorkerProcess) -> AsyncIterator[list[int]]:
    """The worker's memory in bytes, again and again until the end."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(worker.memory_bytes)
            await asyncio.sleep(_POLL_SECONDS)

    looking = asyncio.ensure_future(look())
    try:
        yield seen
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _check_that_it_waits(lab: Lab, worker: WorkerProcess) -> None:
    (destination,) = await lab.destinations(worker)
    if destination["deliveries"] or not destination["waiting"]:
        raise RuntimeError(f"nothing was to be delivered, everything to wait: {destination}")
