"""One destination at one receiver of different slowness, beside aiohttp alone.

The destination's topic is filled before the worker starts. The worker is stopped by a signal while the bare
loop is measured, and goes on for the next window, some times in turn: so both meet the same machine within
seconds, and a moment in which it is slow or fast does not decide.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bench.bare_loop import run_bare_loop
from bench.fill import fill
from bench.lab import MAX_IN_FLIGHT, PARTITIONS, Lab
from bench.load import Load, clients
from bench.results import JWT, SIGNATURE, SinkResult
from bench.window import Window, together, wait_for_count, watch
from tests.servers.anchor_env import Names
from tests.servers.worker import WorkerProcess

LATENCIES_MS, QUICK_LATENCIES_MS = (0, 10, 50, 200), (0, 50)
MOST_DELIVERIES_PER_SECOND = 15_000
SETTLE_SECONDS = 1.0
ROUNDS = 3
ROUND_SHARE = 0.5
"""Of a window."""
START_SECONDS = 30.0
BEGUN_AFTER = 500


@dataclass(frozen=True, slots=True)
class _Case:
    auth: str
    destination: str
    env: dict[str, str]


async def measure(lab: Lab) -> tuple[SinkResult, ...]:
    """The business server's JWT, then a wallet's signature."""
    return (*await _measure(lab, JWT), *await _measure(lab, SIGNATURE))


async def _measure(lab: Lab, auth: str) -> list[SinkResult]:
    names = Names.unique()
    if auth == JWT:
        case = _Case(auth, "callback-api", lab.env(names, business=True))
    else:
        env = lab.env(names, clients=clients(1, lab.receiver.url))
        case = _Case(auth, "client.client-0000.sep24", env)
    latencies = QUICK_LATENCIES_MS if lab.options.quick else LATENCIES_MS
    load = Load(_events_needed(lab.options.window_seconds, latencies))
    await lab.broker.create_topics({names.topic(case.destination): PARTITIONS})
    await fill(lab.broker.bootstrap, names.topic(case.destination), load.internal_records(PARTITIONS))
    await lab.receiver.set()
    already = await lab.receiver.count()
    async with lab.worker(case.env) as worker:
        await wait_for_count(lab.receiver.count, already + BEGUN_AFTER, START_SECONDS)
        found = [await _at_latency(lab, case, worker, ms) for ms in latencies]
        (destination,) = await lab.destinations(worker)
    if destination["deliveries"] >= load.events:
        raise RuntimeError(
            f"all {load.events} events were delivered too soon: raise MOST_DELIVERIES_PER_SECOND"
        )
    return found


async def _at_latency(lab: Lab, case: _Case, worker: WorkerProcess, latency_ms: int) -> SinkResult:
    seconds = lab.options.window_seconds * ROUND_SHARE
    worker.pause()
    await lab.receiver.set(latency_ms=latency_ms)
    one_at_a_time = await _bare(lab, case, 1, seconds)
    bare_windows, windows = [], []
    for _ in range(ROUNDS):
        worker.pause()
        bare_windows.append(await _bare(lab, case, MAX_IN_FLIGHT, seconds))
        worker.resume()
        await asyncio.sleep(SETTLE_SECONDS)
        await lab.profile_start(worker)  # anew: the last round's is kept
        windows.append(await watch(lab.receiver.count, [worker.pid], seconds))
    await lab.profile_stop(worker, f"sink-{case.auth}-{latency_ms}ms", windows[-1])
    bare, window = together(bare_windows), together(windows)
    result = SinkResult(
        auth=case.auth,
        latency_ms=latency_ms,
        max_in_flight=MAX_IN_FLIGHT,
        deliveries_per_second=window.per_second,
        cpu_us_per_delivery=window.cpu_us_each,
        bare_posts_per_second=bare.per_second,
        bare_cpu_us_per_post=bare.cpu_us_each,
        one_at_a_time_per_second=one_at_a_time.per_second,
    )
    lab.tell(
        f"sink, {case.auth}, {latency_ms} ms: {window.per_second:,.0f}/s, {window.cpu_us_each:.0f} us, "
        f"{result.cpu_ratio:.2f} times the bare loop"
    )
    return result


async def _bare(lab: Lab, case: _Case, concurrency: int, seconds: float) -> Window:
    return await run_bare_loop(
        case.env,
        case.destination,
        concurrency=concurrency,
        seconds=seconds,
        use_uvloop=lab.options.uvloop,
    )


def _events_needed(window_seconds: float, latencies: tuple[int, ...]) -> int:
    """So many that no window meets an empty topic, however fast this machine is."""
    rates = [
        min(MOST_DELIVERIES_PER_SECOND, MAX_IN_FLIGHT / (ms / 1000) if ms else MOST_DELIVERIES_PER_SECOND)
        for ms in latencies
    ]
    return round(sum(rates) * ROUNDS * (window_seconds * ROUND_SHARE + 2 * SETTLE_SECONDS))
