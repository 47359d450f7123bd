"""For the supervisor and for Prometheus: no HTML, no token for health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest

from agents.pages.view import View, json_response
from eventproc.metrics import EventprocCollector, Sources


class Live(View):
    """The process answers."""

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """Says so."""
        return json_response({"live": True})


class Ready(View):
    """Whether it takes part in the work."""

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """503 with the reasons when not."""
        problems = not_ready(self.app)
        return json_response({"ready": not problems, "problems": problems}, 503 if problems else 200)


class Metrics(View):
    """Everything that is counted, in Prometheus' form.

    With 2,500 destinations that is 9 MB and seconds of work: it stops for the deliveries after each metric,
    and the text is made in a thread.
    """

    def __post_init__(self) -> None:
        """What a scrape reads."""
        self.collector = EventprocCollector(_sources(self.app))

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """One scrape."""
        families = []
        for family in self.collector.collect():
            families.append(family)
            await asyncio.sleep(0)
        text = await asyncio.to_thread(generate_latest, _Collected(families))
        kind = CONTENT_TYPE_PLAIN_1_0_0.partition(";")[0]
        return web.Response(body=text, content_type=kind, charset="utf-8")


class _Collected(CollectorRegistry):
    """A registry of what was collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def not_ready(app: Any) -> list[str]:
    """Why the worker does not take part in the work; empty when it does."""
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


def _sources(app: Any) -> Sources:
    parts = app.parts
    return Sources(
        engines=parts.engines.values,
        router=parts.router,
        highwater=app.highwater,
        stuck_seconds=lambda: parts.watch.stuck_seconds,
        wall=time.time,
        timeline_dropped=lambda: 0 if parts.journal is None else parts.journal.dropped,
        is_ready=lambda: not not_ready(app),
        config_generation=lambda: parts.reloader.generation,
        reload_failed=lambda: parts.reloader.is_failed,
    )
