"""Pages of the worker: health for the supervisor, numbers for people and programs."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest

from eventproc.delivery.engine import Engine
from eventproc.metrics import EventprocCollector, Sources


def add_pages(app: Any) -> None:
    """Declare every page, and Faust's own numbers, which it shows in debug mode only."""
    app.web.blueprints.add("/stats", "faust.web.apps.stats:blueprint")

    @app.page("/health/live", name="health_live")
    async def live(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        return web.json({"live": True})

    @app.page("/health/ready", name="health_ready")
    async def ready(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        problems = _not_ready(app)
        return web.json({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    @app.page("/destinations/", name="destinations")
    async def destinations(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        return web.json([describe(engine) for engine in app.parts.engines.values()])

    registry = CollectorRegistry()
    registry.register(EventprocCollector(_sources(app)))

    @app.page("/metrics", name="metrics")
    async def metrics(web: Any, request: Any) -> Any:  # noqa: ARG001 - Faust's signature
        return web.bytes(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_1_0_0.partition(";")[0])


def describe(engine: Engine) -> dict[str, Any]:
    """One destination in plain JSON; counters are this worker's since its start."""
    stats = engine.stats
    return {
        "id": engine.destination.id,
        "topic": engine.destination.topic,
        "breaker": engine.breaker.state.value,
        "paused": engine.is_paused_by_operator,
        "in_flight": engine.in_flight,
        "waiting": engine.waiting,
        "oldest_waiting_ms": engine.oldest_waiting_ms(),
        "partitions": [partition for _, partition in engine.partitions],
        "deliveries": stats.deliveries,
        "rejected": stats.rejected,
        "failed": {kind.value: number for kind, number in stats.failed.items()},
        "dead_lettered": stats.dead_lettered,
        "replays_skipped": stats.replays_skipped,
        "late": stats.late,
    }


def _sources(app: Any) -> Sources:
    parts = app.parts
    return Sources(
        engines=parts.engines.values,
        router=parts.router,
        highwater=app.highwater,
        stuck_seconds=lambda: parts.watch.stuck_seconds,
        wall=time.time,
        timeline_dropped=lambda: 0 if parts.journal is None else parts.journal.dropped,
    )


def _not_ready(app: Any) -> list[str]:
    problems = []
    if app.rebalancing:
        problems.append("rebalancing")
    if not app.parts.directory.ready.is_set():
        problems.append("customer index is being loaded")
    if not app.parts.control.loaded.is_set():
        problems.append("what is paused is being read")
    # With more workers than partitions one is given none: a good stand-in, so ready.
    if not app.rebalancing_count:
        problems.append("not in the consumer group yet")
    if app.parts.watch.is_suspicious:
        problems.append(f"{app.parts.watch.stuck_at} does not get on")
    return problems
