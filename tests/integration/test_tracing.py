"""Traces of a real worker, as a collector receives them by OTLP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver
from tests.servers.replies import first, status

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """Takes spans at ``/v1/traces``."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.url = f"http://{LOOPBACK}:{free_port()}/v1/traces"

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        message = ExportTraceServiceRequest.FromString(await request.read())
        for resource in message.resource_spans:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response()

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    runner = web.ServerRunner(web.Server(collector.take, access_log=None), handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, int(collector.url.rsplit(":", 1)[1].partition("/")[0])).start()
    yield collector
    await runner.cleanup()


def event(event_id: str) -> bytes:
    return event_value(event_id, "t1", client_name="acme")


def facts(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


@pytest.mark.timeout(240)
async def test_one_trace_from_the_anchor_s_record_to_each_receiver(  # noqa: PLR0917 - fixtures
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    collector: Collector,
) -> None:
    wallet_server.respond = first(1, status(503))
    clients = [noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"], seps=["sep24"])]
    env = anchor_env(
        broker.bootstrap,
        business_url=business_server.url,
        clients=clients,
        names=names,
        extra={
            "TRACING_ENABLED": "true",
            "TRACING_ENDPOINT": collector.url,
            "DELIVERY_RETRY_INITIAL_SECONDS": "0.2",
            "OTEL_SERVICE_NAME": "anchor-events",
        },
    )
    worker = await start_worker(env)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01".encode()}
    await broker.publish(names.source, [Record(event("e1"), key=b"e1", headers=headers)])
    await wallet_server.wait_for(2, 60)
    await business_server.wait_for(1, 60)
    code, _ = await worker.terminate()
    assert code == 0

    assert collector.services == {"anchor-events"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    (route,), delivers, posts = (collector.named(name) for name in ("route", "deliver", "POST"))
    assert route.parent_span_id.hex() == PARENT
    by_destination = {facts(span)["eventproc.destination"]: span for span in delivers}
    assert set(by_destination) == {"callback-api", "client.acme.sep24"}
    assert {span.parent_span_id for span in delivers} == {route.span_id}
    to_wallet = [span for span in posts if span.parent_span_id == by_destination["client.acme.sep24"].span_id]
    to_business = [span for span in posts if span.parent_span_id == by_destination["callback-api"].span_id]
    assert [facts(span)["http.response.status_code"] for span in to_wallet] == [503, 200]
    assert len(to_business) == 1
    assert facts(by_destination["client.acme.sep24"])["eventproc.attempts"] == 2

    received = [request.headers["traceparent"] for request in wallet_server.requests]
    assert received == [f"00-{TRACE}-{span.span_id.hex()}-01" for span in to_wallet]
    (other,) = business_server.requests
    assert other.headers["traceparent"] == f"00-{TRACE}-{to_business[0].span_id.hex()}-01"
    assert wallet_server.unverified == business_server.unverified == []


@pytest.mark.timeout(240)
async def test_a_collector_that_is_away_holds_up_neither_deliveries_nor_the_stop(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    extra = {"TRACING_ENABLED": "true", "TRACING_ENDPOINT": f"http://{LOOPBACK}:{free_port()}/v1/traces"}
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=extra)
    worker = await start_worker(env)
    await broker.publish(names.source, [Record(event("e1"), key=b"e1")])
    await business_server.wait_for(1, 60)
    code, seconds = await worker.terminate(60)

    assert code == 0
    assert seconds < 20, "machines are slow, the bound is 3 s"
    assert "traceparent" in business_server.requests[0].headers


@pytest.mark.timeout(240)
async def test_without_tracing_no_receiver_sees_a_traceparent(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    await start_worker(anchor_env(broker.bootstrap, business_url=business_server.url, names=names))
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01".encode()}
    await broker.publish(names.source, [Record(event("e1"), key=b"e1", headers=headers)])
    (request,) = await business_server.wait_for(1, 60)

    assert "traceparent" not in request.headers
