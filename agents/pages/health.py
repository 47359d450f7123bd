"""For the supervisor and for Prometheus: no HTML, no token for health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from agents.pages.view import View, json_response
from eventproc.delivery.partitions import Partition
from eventproc.delivery.stopped_partitions import StoppedPartition
from eventproc.delivery.topic_troubles import in_words
from eventproc.metrics import EventprocCollector, Sources
from eventproc.payloads.platform_event import iso_timestamp

SLICE_SECONDS: Final = 0.004
"""Of work on a scrape at a time; a request to a receiver takes the loop about 0.2 ms."""


class Live(View):
    """The process answers."""

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """Says so."""
        return json_response({"live": True})


class Ready(View):
    """Whether it takes part in the work."""

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """503 with the reasons when not; a stopped partition is no reason, as all others continue."""
        problems = not_ready(self.app)
        stopped = [_stopped(*one) for one in sorted(self.app.stopped.current.items())]
        answer = {"ready": not problems, "problems": problems, "stopped_partitions": stopped}
        return json_response(answer, 503 if problems else 200)


class Metrics(View):
    """Everything that is counted, in Prometheus' form.

    With 2,500 destinations that is 9 MB of text and 0.2 s of work, and deliveries go on in between.
    """

    def __post_init__(self) -> None:
        """What a scrape reads."""
        self.collector = EventprocCollector(_sources(self.app))

    async def get(self, request: web.Request) -> Any:  # noqa: ARG002 - Faust's signature
        """One scrape."""
        body = await in_slices(self.collector.text(), time.perf_counter)
        kind = CONTENT_TYPE_PLAIN_1_0_0.partition(";")[0]
        return web.Response(body=body, content_type=kind, charset="utf-8")


async def in_slices(pieces: Iterable[str], clock: Callable[[], float]) -> bytes:
    """The pieces as one text; while they are made, everybody else gets a turn every few milliseconds."""
    slices: list[bytes] = []
    slice_: list[str] = []
    began = clock()
    for piece in pieces:
        slice_.append(piece)
        if clock() - began >= SLICE_SECONDS:
            slices.append("".join(slice_).encode())
            slice_.clear()
            await asyncio.sleep(0)
            began = clock()
    return b"".join([*slices, "".join(slice_).encode()])


def _stopped(partition: Partition, stopped: StoppedPartition) -> dict[str, Any]:
    topic, number = partition
    return {
        "topic": topic,
        "partition": number,
        "offset": stopped.offset,
        "next_offset": stopped.next_offset,
        "problem": stopped.problem,
        "since": iso_timestamp(int(stopped.since * 1000)),
    }


def not_ready(app: Any) -> list[str]:
    """Why the worker does not take part in the work; empty when it does."""
    if (outage := app.parts.kafka.outage) is not None:
        return [str(outage)]  # what else does not get on waits for Kafka
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
    topics = app.parts.settings.topics
    shared = (
        topics.dead_letter,
        topics.invalid,
        topics.customers,
    )  # a destination's own topic is its own matter
    troubles = app.parts.troubles.current
    problems += [in_words(topic, troubles[topic]) for topic in shared if topic in troubles]
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
        names_unanswered=lambda: parts.resolver.unanswered,
        topic_troubles=lambda: parts.troubles.current,
        kafka_unreachable_seconds=lambda: parts.kafka.unreachable_seconds,
        expired=lambda: {
            parts.settings.topics.source: parts.router.partitions.expired,
            **{one.destination.topic: one.partitions.expired for one in parts.engines.values()},
        },
        held_bytes=parts.memory.held_bytes,
        stopped=lambda: {one: at.offset for one, at in app.stopped.current.items()},
        letters_waiting=lambda: parts.letters.waiting,
    )
