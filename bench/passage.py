"""A whole load from ``TRANSACTION`` to the receiver, at full speed: how long it takes and what it costs.

The workers are stopped by a signal while the source is filled, and timed from then until the last delivery.
A window in the middle would not do here: a worker routes ahead of what it delivers, so a window counts the
CPU of routing for events that are delivered later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack

from bench.fill import fill
from bench.lab import PARTITIONS, Lab
from bench.load import EVENTS_PER_TRANSACTION, Load
from bench.window import Window, wait_for_count, watch_until
from tests.servers.anchor_env import Names
from tests.servers.worker import WorkerProcess

WARM_UP_EVENTS = 400
WARM_UP_SECONDS = 600.0
"""A worker needs tens of milliseconds for the first event of each destination, and more on a busy machine."""
SHARED_SECONDS = 60.0
LEAST_PER_SECOND = 100
_POLL_SECONDS = 0.2


async def pass_through(
    lab: Lab, env: Mapping[str, str], names: Names, load: Load, *, workers: int = 1
) -> Window:
    """Deliver ``load``, each event once, with so many workers; connections are open before the clock starts.

    Args:
        lab: the servers.
        env: the workers' settings.
        names: topics and group of ``env``.
        load: of which each event has one destination.
        workers: how many processes share it.

    Raises:
        TimeoutError: fewer than ``LEAST_PER_SECOND`` events a second arrive.
    """
    await lab.receiver.set()
    await lab.broker.create_topics({names.source: PARTITIONS})
    async with AsyncExitStack() as stack:
        running = [await stack.enter_async_context(lab.worker(env)) for _ in range(workers)]
        await _wait_until_shared(lab, running)
        await _warm_up(lab, names, load)
        for worker in running:
            worker.pause()
        await fill(lab.broker.bootstrap, names.source, load.source_records())
        all_delivered = await lab.receiver.count() + load.events
        for worker in running:
            worker.resume()
        pids = [worker.pid for worker in running]
        bound = 30.0 + load.events / LEAST_PER_SECOND
        await lab.profile_start(running[0])
        window = await watch_until(lab.receiver.count, pids, all_delivered, bound)
        await lab.profile_stop(running[0], f"passage-{load.clients}-clients-{workers}-workers", window)
        return window


async def _warm_up(lab: Lab, names: Names, load: Load) -> None:
    """Some events for every client: the first one opens the connection."""
    events = max(WARM_UP_EVENTS, EVENTS_PER_TRANSACTION * load.clients)
    warm_up = Load(events, clients=load.clients, mark=load.mark + 1)
    expected = await lab.receiver.count() + events
    await fill(lab.broker.bootstrap, names.source, warm_up.source_records())
    await wait_for_count(lab.receiver.count, expected, WARM_UP_SECONDS)


async def _wait_until_shared(lab: Lab, workers: list[WorkerProcess]) -> None:
    """Wait until each worker has its part of every destination: who comes later takes from a ready one."""
    deadline = time.monotonic() + SHARED_SECONDS
    while True:
        held = [
            [len(destination["partitions"]) for destination in await lab.destinations(worker)]
            for worker in workers
        ]
        if len(workers) == 1 or all(all(counts) for counts in held):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"partitions of each destination by worker: {held} after {SHARED_SECONDS:g} s")
        await asyncio.sleep(_POLL_SECONDS)
