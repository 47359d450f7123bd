"""OpenTelemetry traces: from the ``traceparent`` of the anchor's record to that of each request.

::

    the anchor's span, if its record names one
    └── route      written to TRANSACTION -> handed on; one for each event
        └── deliver    written to the destination's topic -> 2xx or dead letter; one for each destination
            ├── POST   one attempt; its traceparent goes out with it
            └── POST

``Tracing`` stands before the journal, which is told nearly all it has to know, and passes everything on; for
the rest it is a ``Tracer``. Nothing here waits or fails: a thread of the SDK's exports, and drops spans when
it cannot keep up. No other module imports OpenTelemetry, and this one is imported only when tracing is on
(the extra ``otel``).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import structlog
from mode import Service
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from eventproc.dead_letters import DeadLetter
from eventproc.delivery.inbound import Job
from eventproc.delivery.journal import Journal, Timing
from eventproc.delivery.partitions import Partition
from eventproc.destinations import Destination
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.journal_entries import REPLAY
from eventproc.outcomes import Delivered, Failed, Rejected
from eventproc.records import TRACEPARENT, Source
from eventproc.routing import Route
from settings.tracing import TracingSettings

log = structlog.stdlib.get_logger("eventproc.tracing")

SERVICE: Final = "eventproc"
MAX_OPEN: Final = 10_000
"""Events that wait for their next attempt; more, and the oldest one's ``deliver`` ends as interrupted."""

STOP_SECONDS: Final = 3.0

Place: TypeAlias = tuple[Partition, int]
"""A record of a destination's topic: its partition and offset. Not the job, whose value can be megabytes."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()


def make_provider(settings: TracingSettings) -> TracerProvider:
    """Exports by OTLP over HTTP. What is not set, ``OTEL_…`` variables say, or OpenTelemetry's defaults."""
    ratio = settings.sample_ratio
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(
        sampler=None if ratio is None else ParentBased(TraceIdRatioBased(ratio)),
        resource=resource,
        shutdown_on_exit=False,  # it would wait for a collector that is away
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.endpoint)))
    return provider


@dataclass(slots=True)
class _Delivery:
    """An event on its way to one destination: its span, and that of the attempt under way."""

    span: Span
    attempt: Span | None = None
    end_with: str | None = None
    """What became of it, when that is known before the attempt is over."""


class Tracing(Service):
    """A ``Journal`` and a ``Tracer``; see the module's docstring."""

    def __init__(
        self,
        provider: TracerProvider,
        journal: Journal,
        wall: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("eventproc")
        self._journal = journal
        self._wall = wall
        self._open: OrderedDict[Place, _Delivery] = OrderedDict()
        super().__init__(**kwargs)

    # -- Tracer ------------------------------------------------------------------------------------

    def routing(self, event: Event, source: Source, route: Route, traceparent: bytes | None) -> bytes:
        """The span of the router; returns the ``traceparent`` for the event's copies."""
        now = self._wall()
        began = _nanoseconds(min(source.timestamp_ms / 1000, now))
        span = self._tracer.start_span("route", _context(traceparent), SpanKind.CONSUMER, start_time=began)
        if span.is_recording():
            span.set_attributes(
                {
                    **_messaging(source.topic, source.partition, source.offset),
                    **_about(event.id, event.type.value, event.lane_key),
                    "eventproc.destinations": route.destinations,
                    "eventproc.client_match": route.match.value,
                }
            )
        span.end(_nanoseconds(now))
        return _traceparent(span)

    def attempting(self, destination: Destination, job: Job, headers: dict[str, str]) -> None:
        """An attempt begins; its ``traceparent`` is added to the headers."""
        delivery = self._of(destination.id, job)
        if delivery.attempt is not None:  # one that a drain cut off
            _end_interrupted(delivery.attempt)
        parent, began = set_span_in_context(delivery.span, Context()), _nanoseconds(self._wall())
        span = delivery.attempt = self._tracer.start_span("POST", parent, SpanKind.CLIENT, start_time=began)
        if span.is_recording():
            span.set_attributes(_http(destination.endpoint.url, job.attempts))
        headers[TRACEPARENT] = _traceparent(span).decode()

    # -- Journal -----------------------------------------------------------------------------------

    def routed(self, event: Event, source: Source, route: Route) -> None:
        """Only for the journal."""
        self._journal.routed(event, source, route)

    def invalid(self, key: bytes | None, source: Source, reason: str, detail: str) -> None:
        """Only for the journal: what cannot be read has no event to trace."""
        self._journal.invalid(key, source, reason, detail)

    def attempted(
        self, destination: DestinationId, job: Job, outcome: Delivered | Rejected | Failed, timing: Timing
    ) -> None:
        """An attempt is over, and perhaps the delivery with it."""
        self._journal.attempted(destination, job, outcome, timing)
        delivery = self._open.get(_place(job))
        if delivery is None or delivery.attempt is None:
            return
        span, delivery.attempt = delivery.attempt, None
        _end_attempt(span, outcome, timing.at + timing.seconds)
        delivery.span.set_attribute("eventproc.attempts", job.attempts)
        if isinstance(outcome, Delivered):
            self._end(job, "delivered")
        elif delivery.end_with is not None:
            self._end(job, delivery.end_with)

    def dead_lettered(self, letter: DeadLetter, job: Job) -> None:
        """An event was set aside; its last attempt is told of afterwards, if there was one."""
        self._journal.dead_lettered(letter, job)
        delivery = self._of(letter.destination, job)
        delivery.span.set_attribute("eventproc.dead_letter.reason", letter.reason.value)
        if delivery.attempt is None:
            self._end(job, "dead-lettered")
        else:
            delivery.end_with = "dead-lettered"

    def skipped(self, destination: DestinationId, job: Job, why: str) -> None:
        """An event needed no request. A router's copy of what was delivered is nothing to trace."""
        self._journal.skipped(destination, job, why)
        if why != REPLAY:
            self._of(destination, job)
            self._end(job, why)

    # -- inside ------------------------------------------------------------------------------------

    def _of(self, destination: DestinationId, job: Job) -> _Delivery:
        """An event that comes again after a rebalance goes on with its span."""
        place = _place(job)
        delivery = self._open.get(place)
        if delivery is None:
            if len(self._open) >= MAX_OPEN:
                _interrupt(self._open.popitem(last=False)[1])
            delivery = self._open[place] = _Delivery(self._start(destination, job))
        return delivery

    def _start(self, destination: DestinationId, job: Job) -> Span:
        record, origin = job.record, job.origin
        topic, partition = record.partition
        parent, began = _context(origin.traceparent), min(record.timestamp_ms / 1000, self._wall())
        span = self._tracer.start_span("deliver", parent, SpanKind.CONSUMER, start_time=_nanoseconds(began))
        if span.is_recording():
            span.set_attributes(
                {
                    **_messaging(topic, partition, record.offset),
                    **_about(origin.event_id, origin.event_type, job.lane),
                    "eventproc.destination": destination,
                    "eventproc.redriven": origin.redriven is not None,
                }
            )
        return span

    def _end(self, job: Job, outcome: str) -> None:
        span = self._open.pop(_place(job)).span
        span.set_attribute("eventproc.outcome", outcome)
        if outcome == "dead-lettered":
            span.set_status(Status(StatusCode.ERROR, outcome))
        span.end(_nanoseconds(self._wall()))

    async def on_stop(self) -> None:
        """Export the rest, if that goes quickly."""
        while self._open:
            _interrupt(self._open.popitem()[1])
        # Not a thread of the loop's pool: the interpreter waits for those at its end.
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        threading.Thread(target=self._shut_down, args=(loop, done), daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            log.warning("tracing.spans_left_behind", seconds=STOP_SECONDS)

    def _shut_down(self, loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
        self._provider.shutdown()
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)


def _end_attempt(span: Span, outcome: Delivered | Rejected | Failed, at: float) -> None:
    if outcome.status is not None:
        span.set_attribute("http.response.status_code", outcome.status)
    if not isinstance(outcome, Delivered):
        is_answer = outcome.status is not None
        kind = str(outcome.status) if is_answer or isinstance(outcome, Rejected) else outcome.kind.value
        span.set_attribute("error.type", kind)
        # Not the description of an answer: the status says all of it.
        span.set_status(Status(StatusCode.ERROR, None if is_answer else kind))
    span.end(_nanoseconds(at))


def _interrupt(delivery: _Delivery) -> None:
    """This worker leaves it: stopped, or another one's by now."""
    for span in (delivery.attempt, delivery.span):
        if span is not None:
            _end_interrupted(span)


def _end_interrupted(span: Span) -> None:
    span.set_attribute("eventproc.outcome", "interrupted")
    span.end()


def _place(job: Job) -> Place:
    return job.record.partition, job.record.offset


def _context(traceparent: bytes | None) -> Context:
    """Never the ambient one: an event's parent is what its record names, or nothing."""
    if traceparent is None:
        return Context()
    carrier = {TRACEPARENT: traceparent.decode("latin-1")}
    return _PROPAGATOR.extract(carrier, Context())


def _traceparent(span: Span) -> bytes:
    """W3C Trace Context, as OpenTelemetry's propagator writes it in five times the time."""
    at = span.get_span_context()
    return b"00-%032x-%016x-%02x" % (at.trace_id, at.span_id, at.trace_flags)


def _messaging(topic: str, partition: int, offset: int) -> dict[str, Any]:
    """OpenTelemetry's semantic conventions for messaging, and those for Kafka."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }


def _about(event_id: str, event_type: str, lane: str) -> dict[str, Any]:
    return {"eventproc.event.id": event_id, "eventproc.event.type": event_type, "eventproc.lane": lane}


def _http(url: str, attempts: int) -> dict[str, Any]:
    """OpenTelemetry's semantic conventions for HTTP clients; without the query, which may hold a key."""
    parts = urlsplit(url)
    found: dict[str, Any] = {
        "http.request.method": "POST",
        "server.address": parts.hostname or "",
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        "url.full": parts._replace(query="", fragment="").geturl(),
    }
    if attempts > 1:
        found["http.request.resend_count"] = attempts - 1
    return found


def _nanoseconds(at: float) -> int:
    return int(max(0.0, at) * 1_000_000_000)
