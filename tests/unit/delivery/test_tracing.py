"""One trace from the anchor's record to each request, collected in memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode

from eventproc import tracing_extra
from eventproc.delivery import tracing as tracing_module
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.tracing import Tracing, make_provider
from eventproc.destinations import Endpoint
from eventproc.events import Event, decode
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientMatch
from eventproc.records import Source
from eventproc.routing import Route
from eventproc.tracing_extra import missing_extra
from settings import load_settings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.journal import FakeJournal
from tests.fakes.records import TOPIC, destination, event_value, record
from tests.fakes.sender import OK, REFUSED, FakeSender, Reply, status

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01".encode()
ROUTE = Route((DestinationId("test"),), ClientMatch.NAME)
SOURCE = Source("TRANSACTION", 0, 7, 1_795_500_000_000)
URL = "https://wallet.example.com:8443/cb?key=secret"


@dataclass
class World:
    sampler: Any = None
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=lambda: FakeClock(1_795_500_010.0))
    journal: FakeJournal = field(default_factory=FakeJournal)
    dead: FakeDeadLetters = field(default_factory=FakeDeadLetters)

    def __post_init__(self) -> None:
        self.provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(self.provider, self.journal, self.clock.wall)
        settings = load_settings(env={"DELIVERY_RETRY_POISON_ATTEMPTS": "2", "DELIVERY_ORDER": "skip_stale"})
        parts = EngineParts(
            *(self.sender, self.dead, FakeFlow(), self.clock, lambda: 1.0),
            journal=self.tracing,
            tracer=self.tracing,
        )
        self.engine = Engine(replace(destination(), endpoint=Endpoint(URL)), settings.delivery, parts)
        self.engine.assign((TOPIC, 0), 0, "")

    def route(self, traceparent: bytes | None) -> bytes | None:
        event = decode(event_value("e0", "t"))
        assert isinstance(event, Event)
        return self.tracing.routing(event, SOURCE, ROUTE, traceparent)

    def accept(
        self, offset: int, lane: str = "t", traceparent: bytes | None = TRACEPARENT, **members: Any
    ) -> None:
        headers = record(offset, lane).headers
        headers += [] if traceparent is None else [("traceparent", traceparent)]
        self.engine.accept(record(offset, lane, headers=headers, **members))

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> str:
    return "none" if span.parent is None else f"{span.parent.span_id:016x}"


def own(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def trace(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


async def test_one_trace_goes_from_the_record_to_the_request() -> None:
    world = World()
    world.accept(0, traceparent=world.route(TRACEPARENT))
    await settle()
    route, deliver, post = (world.span(name) for name in ("route", "deliver", "POST"))

    assert {trace(span) for span in (route, deliver, post)} == {TRACE}
    assert [parent(span) for span in (route, deliver, post)] == [PARENT, own(route), own(deliver)]
    assert world.sender.headers[0]["traceparent"] == f"00-{TRACE}-{own(post)}-01"


async def test_spans_say_what_they_are_about_in_the_conventions_words() -> None:
    world = World()
    world.accept(0, traceparent=world.route(None))
    await settle()
    route, deliver, post = (world.span(name) for name in ("route", "deliver", "POST"))

    assert attributes(route) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "TRANSACTION",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 7,
        "eventproc.event.id": "e0",
        "eventproc.event.type": "transaction_status_changed",
        "eventproc.lane": "t",
        "eventproc.destinations": ("test",),
        "eventproc.client_match": "name",
    }
    assert attributes(deliver) | {"messaging.destination.name": TOPIC} == attributes(deliver)
    wanted = {"eventproc.destination": "test", "eventproc.attempts": 1, "eventproc.outcome": "delivered"}
    assert attributes(deliver) | wanted == attributes(deliver)
    assert attributes(post) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": "wallet.example.com",
        "server.port": 8443,
        "url.full": "https://wallet.example.com:8443/cb",
    }
    assert post.status.status_code is StatusCode.UNSET
    # From when it was written to Kafka.
    assert (route.start_time, deliver.start_time) == (1_795_500_000 * 10**9, 1_795_500_000 * 10**9)
    assert post.start_time == 1_795_500_010 * 10**9
    assert not any("secret" in str(span.to_json()) for span in world.exporter.get_finished_spans())


async def test_each_attempt_is_a_span_of_one_delivery() -> None:
    answers: list[Reply] = [REFUSED, status(503)]
    world = World(sender=FakeSender(lambda _body, n: answers[n - 1] if n <= len(answers) else OK))
    world.accept(0)
    await settle()
    assert world.spans("deliver") == []
    await world.clock.advance(30)
    deliver, posts = world.span("deliver"), world.spans("POST")

    assert [parent(post) for post in posts] == [own(deliver)] * 3
    assert attributes(deliver)["eventproc.attempts"] == 3
    assert [attributes(post).get("error.type") for post in posts] == ["connect", "503", None]
    assert [attributes(post).get("http.response.status_code") for post in posts] == [None, 503, 200]
    assert [attributes(post).get("http.request.resend_count") for post in posts] == [None, 1, 2]
    error, unset = StatusCode.ERROR, StatusCode.UNSET
    assert [post.status.status_code for post in posts] == [error, error, unset]
    assert len({headers["traceparent"] for headers in world.sender.headers}) == 3


async def test_a_dead_letter_ends_its_delivery_as_an_error_after_its_last_attempt() -> None:
    world = World(sender=FakeSender(lambda _body, _n: status(422)))
    world.accept(0)
    await settle()
    await world.clock.advance(10)
    deliver = world.span("deliver")

    assert len(world.dead.letters) == 1
    assert deliver.status.status_code is StatusCode.ERROR
    told = attributes(deliver)
    assert (told["eventproc.outcome"], told["eventproc.dead_letter.reason"]) == ("dead-lettered", "rejected")
    assert told["eventproc.attempts"] == len(world.spans("POST")) == 2
    names = [span.name for span in world.exporter.get_finished_spans()]
    assert names == ["POST", "POST", "deliver"]


async def test_what_cannot_be_built_is_a_delivery_without_an_attempt() -> None:
    world = World()
    world.engine.accept(record(0, "t")._replace(value=b"no json"))
    await settle()

    assert attributes(world.span("deliver"))["eventproc.outcome"] == "dead-lettered"
    assert world.spans("POST") == []


async def test_what_is_stale_is_a_delivery_without_an_attempt_and_a_replay_is_none() -> None:
    world = World()
    world.accept(0, updated_at="2026-11-24T10:00:05Z")
    await settle()
    world.accept(1, updated_at="2026-11-24T10:00:01Z")
    await settle()
    world.engine.accept(record(2, "t", headers=record(0, "t").headers))
    await settle()

    assert [attributes(span)["eventproc.outcome"] for span in world.spans("deliver")] == [
        "delivered",
        "stale",
    ]


@pytest.mark.parametrize("traceparent", [None, b"", b"nonsense", b"\xff\xfe", b"00-0-0-01"])
async def test_without_a_parent_that_can_be_read_a_trace_begins_here(traceparent: bytes | None) -> None:
    world = World()
    world.accept(0, traceparent=world.route(traceparent))
    await settle()

    assert parent(world.span("route")) == "none"
    assert trace(world.span("POST")) == trace(world.span("route")) != TRACE


async def test_who_does_not_sample_at_the_beginning_decides_for_all_and_is_passed_on() -> None:
    world = World(ParentBased(TraceIdRatioBased(1.0)))
    world.accept(0, traceparent=world.route(f"00-{TRACE}-{PARENT}-00".encode()))
    await settle()

    assert world.exporter.get_finished_spans() == ()
    assert world.sender.headers[0]["traceparent"].startswith(f"00-{TRACE}-")
    assert world.sender.headers[0]["traceparent"].endswith("-00")


async def test_the_journal_is_told_everything_all_the_same() -> None:
    answers = [REFUSED]
    world = World(sender=FakeSender(lambda _body, n: answers[n - 1] if n <= len(answers) else OK))
    world.accept(0)
    await settle()
    await world.clock.advance(5)
    event = decode(event_value("e0", "t"))
    assert isinstance(event, Event)
    world.tracing.routed(event, SOURCE, ROUTE)
    world.tracing.invalid(b"k", SOURCE, "null", "")

    assert world.journal.told == ["attempted", "attempted", "routed", "invalid"]


async def test_an_attempt_that_a_drain_cut_off_goes_on_in_the_same_delivery() -> None:
    world = World(sender=FakeSender(hold=asyncio.Event()))
    world.accept(0)
    await settle()
    await world.engine.drain(0)
    world.engine.release()
    assert world.sender.hold is not None
    world.sender.hold.set()
    world.engine.assign((TOPIC, 0), 0, "")
    world.accept(0)
    await settle()
    deliver, posts = world.span("deliver"), world.spans("POST")

    assert [parent(post) for post in posts] == [own(deliver)] * 2
    assert attributes(posts[0])["eventproc.outcome"] == "interrupted"


async def test_a_stop_ends_what_is_open_and_takes_no_longer_than_its_bound() -> None:
    world = World(sender=FakeSender(lambda _body, _n: REFUSED))
    world.accept(0)
    await settle()
    await world.tracing.on_stop()

    assert attributes(world.span("deliver"))["eventproc.outcome"] == "interrupted"


async def test_open_deliveries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "MAX_OPEN", 3)
    world = World(sender=FakeSender(lambda _body, _n: REFUSED))
    for offset in range(4):
        world.accept(offset, f"t{offset}")
    await settle()

    (oldest,) = world.spans("deliver")
    assert attributes(oldest)["eventproc.event.id"] == "e0"
    assert attributes(oldest)["eventproc.outcome"] == "interrupted"


def test_settings_win_over_the_environment_and_that_over_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    by_environment = make_provider(load_settings(env={"TRACING_ENABLED": "true"}).tracing)
    by_settings = make_provider(load_settings(env={"TRACING_SAMPLE_RATIO": "0.25"}).tracing)
    for provider in (by_environment, by_settings):
        provider.shutdown()

    assert "AlwaysOff" in by_environment.sampler.get_description()
    assert "TraceIdRatioBased{0.25}" in by_settings.sampler.get_description()
    assert by_settings.resource.attributes["service.name"] == "eventproc"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "anchor-events")
    named = make_provider(load_settings(env={}).tracing)
    named.shutdown()
    assert named.resource.attributes["service.name"] == "anchor-events"


def test_without_the_extra_the_way_out_is_told_and_only_when_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = load_settings(env={"TRACING_ENABLED": "true"}).tracing
    assert missing_extra(on) is None
    monkeypatch.setattr(tracing_extra, "_NEEDED", ("opentelemetry", "no_such_module.inner"))
    assert "pip install 'eventproc[otel]'" in str(missing_extra(on))
    assert missing_extra(load_settings(env={}).tracing) is None


def test_without_tracing_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from agents.wiring import create_app; from settings import load_settings; "
        "create_app(load_settings(env={})); "
        "sys.exit(any(name.partition('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
