"""Whole requests made of the samples: as the Anchor Platform sent them, and as we would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode

import jwt

from eventproc.auth import JwtAuth, StellarSignature
from eventproc.delivery.request import JSON_CONTENT_TYPE
from eventproc.events import Event, decode
from eventproc.identifiers import DestinationId
from eventproc.payloads import Sep, business_server_body, client_body, client_target
from eventproc.shadow.request import SentRequest
from eventproc.signed_text import signed_host
from tests.golden.recorded import CONTEXT, NOW, SECRET, TIMESTAMP_MS, Sample, load_samples
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_SEED

BUSINESS = DestinationId("callback-api")
URLS = {BUSINESS: "http://business.example.com/event"} | {
    DestinationId(f"client.reference.{sep}"): f"https://wallet.example.com:8443/{sep}"
    for sep in ("sep6", "sep24", "sep31", "sep12")
}
AT = datetime.fromtimestamp(NOW, timezone.utc)


def wallet_of(sep: str) -> DestinationId:
    return DestinationId(f"client.reference.{sep}")


def platform_request(destination: DestinationId, body: Any, url: str | None = None) -> SentRequest:
    """A request as the Anchor Platform makes it; ``body`` in the samples' form."""
    is_business = destination == BUSINESS
    body = {"timestamp": "2026-11-24T10:25:03.456Z", **body} if is_business else _with_link(body)
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return platform_bytes(destination, data, url)


def platform_bytes(destination: DestinationId, data: bytes, url: str | None = None) -> SentRequest:
    """The same of exactly these bytes, perhaps to another URL than ours."""
    url = url or URLS[destination]
    is_business = destination == BUSINESS
    auth = JwtAuth(CALLBACK_SECRET.encode(), 30_000, "Authorization") if is_business else None
    proof = auth or StellarSignature(TEST_SEED, signed_host(url))
    headers = {
        **proof.headers(data, NOW),
        "Content-Type": "application/json; charset=utf-8",
        "Host": signed_host(url),
        "User-Agent": "okhttp/4.12.0",
        "Content-Length": str(len(data)),
    }
    return SentRequest(url, data, headers, at=AT)


def our_request(destination: DestinationId, body: bytes, event_id: str) -> SentRequest:
    """The same as a shadow worker writes it down."""
    url = URLS[destination]
    headers = {"Content-Type": JSON_CONTENT_TYPE, "X-Event-Id": event_id}
    if destination == BUSINESS:
        headers["Authorization"] = "Bearer ********"
    else:
        headers |= StellarSignature(TEST_SEED, signed_host(url)).headers(body, NOW)
    return SentRequest(url, body, headers, destination, AT)


def both_sides() -> tuple[list[SentRequest], list[SentRequest]]:
    """What the Anchor Platform sent for all samples, and what we would have sent."""
    there: list[SentRequest] = []
    here: list[SentRequest] = []
    for sample in load_samples():
        there += platform_requests(sample)
        event = decode(sample.value)
        if isinstance(event, Event):
            here += our_requests(event)
    return there, here


def platform_requests(sample: Sample, urls: Mapping[DestinationId, str] = URLS) -> Iterator[SentRequest]:
    if sample.business_server is not None:
        yield platform_request(BUSINESS, sample.business_server, urls[BUSINESS])
        for sep, body in sample.client.items():
            destination = wallet_of(sep)
            yield platform_request(destination, body, urls[destination])


def our_requests(event: Event) -> Iterator[SentRequest]:
    yield our_request(BUSINESS, business_server_body(event, TIMESTAMP_MS), event.id)
    target = client_target(event)
    if isinstance(target, Sep):
        destination = wallet_of(f"sep{target.value}")
        yield our_request(destination, client_body(event, target, CONTEXT, NOW), event.id)


def _with_link(body: Any) -> Any:
    transaction = body.get("transaction")
    if transaction is None or "more_info_url" not in transaction:
        return body
    link = transaction["more_info_url"]
    claims = link["claims"] | {"exp": int(NOW) + 597}
    token = jwt.encode(claims, SECRET.ljust(32, b"\0"), algorithm="HS256")
    query = urlencode({"transaction_id": link["transaction_id"], "token": token})
    return body | {"transaction": transaction | {"more_info_url": f"{link['base']}?{query}"}}
