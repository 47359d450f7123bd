"""The router alone: TRANSACTION into 1, 2 and 10 internal topics that nobody reads."""

from __future__ import annotations

from bench.bare_loop import run_bare_loop
from bench.fill import fill
from bench.lab import MAX_IN_FLIGHT, PARTITIONS, Lab
from bench.load import Load, clients
from bench.results import RouteResult
from bench.window import wait_for_count, watch
from tests.servers.anchor_env import Names

TOPICS, QUICK_TOPICS = (1, 2, 10), (1, 2)
MOST_EVENTS_PER_SECOND = 30_000
SETTLE_SECONDS = 1.0
START_SECONDS = 30.0


async def measure(lab: Lab) -> tuple[RouteResult, ...]:
    """One worker for each number of topics, all reading the same source topic."""
    seconds = lab.options.window_seconds
    numbers = QUICK_TOPICS if lab.options.quick else TOPICS
    load = Load(round(MOST_EVENTS_PER_SECOND * (seconds + SETTLE_SECONDS)), clients=1)
    source = Names.unique().source
    await lab.broker.create_topics({source: PARTITIONS})
    await fill(lab.broker.bootstrap, source, load.source_records())
    return tuple([await _measure(lab, source, load.events, topics) for topics in numbers])


async def _measure(lab: Lab, source: str, events: int, topics: int) -> RouteResult:
    unique = Names.unique()
    names = Names(source, unique.prefix, unique.consumer_group)
    # An event has two destinations at most; more of them only where every client is told everything.
    extra = {"DELIVERY_CLIENT_ROUTING": "broadcast"} if topics > 2 else {}
    env = lab.env(names, business=True, clients=clients(topics - 1, lab.receiver.url), extra=extra)
    await lab.broker.create_topics({names.topic("callback-api"): PARTITIONS})
    bare = await run_bare_loop(
        env,
        "callback-api",
        concurrency=MAX_IN_FLIGHT,
        seconds=lab.options.window_seconds,
        use_uvloop=lab.options.uvloop,
    )
    async with (
        lab.end_offset_counter(names.topic("callback-api")) as written,
        lab.worker(env, app="bench.apps.router_only") as worker,
    ):
        begun = await written.count() + round(SETTLE_SECONDS * 1000)
        await wait_for_count(written.count, begun, START_SECONDS)
        await lab.profile_start(worker)
        window = await watch(written.count, [worker.pid], lab.options.window_seconds)
        await lab.profile_stop(worker, f"route-{topics}", window)
        if await written.count() >= events:
            raise RuntimeError(
                f"all {events} events were routed before the window's end: raise MOST_EVENTS_PER_SECOND"
            )
    lab.tell(f"route, {topics} topics: {window.per_second:,.0f}/s, {window.cpu_us_each:.0f} us")
    return RouteResult(topics, window.per_second, window.cpu_us_each, bare.cpu_us_each)
