"""A destination: one endpoint with its own topic, its own body and its own proof of who sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eventproc.auth import Authenticator
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.payloads.spans import SpannedBody
from eventproc.records import Origin

BodyBuilder = Callable[[Event, int, float], bytes]
"""(event, its Kafka timestamp in ms, now in seconds since the epoch) -> the bytes to send."""

SpanBodyBuilder = Callable[[Origin, bytes | None, int, float], SpannedBody | None]
"""(what the record's headers say, its value, its Kafka timestamp in ms, now) -> the same bytes, or None."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to trust the endpoint and how to be known to it; the files are PEM."""

    verify: bool = True
    ca_path: Path | None = None
    certificate_path: Path | None = None
    key_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to POST, and how to reach it."""

    url: str
    tls: TlsOptions = TlsOptions()


@dataclass(frozen=True, slots=True)
class Destination:
    """One endpoint of one receiver; ``build_body`` raises PayloadError when it cannot.

    ``build_from_span`` makes the same body with less work, for a record whose headers say where its
    transaction stands (``eventproc.payloads.spans``), and raises as ``build_body`` does. ``sends_customers``:
    each body is a customer's whole state, so one that equals the last delivered has nothing new.
    """

    id: DestinationId
    topic: str
    endpoint: Endpoint
    authenticator: Authenticator
    build_body: BodyBuilder
    build_from_span: SpanBodyBuilder | None = None
    sends_customers: bool = False
