"""How long a worker of 1,000 clients takes to be ready, and what it then costs to do nothing.

The first start makes the topics, one partition each, as for ``destinations``; the second finds them.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

from bench.lab import Lab
from bench.load import clients
from bench.results import StartResult
from bench.window import cpu_seconds
from tests.servers.anchor_env import Names

CLIENTS, QUICK_CLIENTS = 1_000, 100
TWO_SEPS, THREE_SEPS = ("sep6", "sep24"), ("sep6", "sep24", "sep12")
SETTLE_SECONDS = 5.0
MEGABYTE = 1e6


async def measure(lab: Lab) -> tuple[StartResult, ...]:
    """Every client has two endpoints or three: 2,500 destinations for 1,000 of them."""
    number = QUICK_CLIENTS if lab.options.quick else CLIENTS
    names = Names.unique()
    listed = [
        *clients(number, lab.receiver.url, TWO_SEPS)[: number // 2],
        *clients(number, lab.receiver.url, THREE_SEPS)[number // 2 :],
    ]
    await lab.broker.create_topics({names.source: 1})
    with tempfile.TemporaryDirectory(prefix="bench-clients-") as folder:
        file = Path(folder) / "clients.json"
        file.write_text(json.dumps({"items": listed}))
        extra = {"CLIENTS_TYPE": "file", "CLIENTS_VALUE": str(file), "TOPICS_PARTITIONS": "1"}
        env = lab.env(names, extra=extra)
        began = time.monotonic()
        async with lab.worker(env):
            first_seconds = time.monotonic() - began
        began = time.monotonic()
        async with lab.worker(env) as worker:
            again_seconds = time.monotonic() - began
            await asyncio.sleep(SETTLE_SECONDS)
            before = cpu_seconds(worker.pid)
            await asyncio.sleep(lab.options.window_seconds)
            cores = (cpu_seconds(worker.pid) - before) / lab.options.window_seconds
            result = StartResult(
                destinations=len(await lab.destinations(worker)),
                first_seconds=first_seconds,
                again_seconds=again_seconds,
                idle_mb=worker.memory_bytes / MEGABYTE,
                idle_cores=cores,
            )
    lab.tell(
        f"start, {result.destinations:,} destinations: {result.first_seconds:.1f} s, then "
        f"{result.again_seconds:.1f} s; idle {result.idle_mb:.0f} MB, {result.idle_cores:.2f} cores"
    )
    return (result,)
