"""From a job to what is sent: steps 1 (decode), 5 (body) and 6 (sign) of one attempt."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import quote

from eventproc.delivery.inbound import Job
from eventproc.destinations import Destination
from eventproc.errors import PayloadError
from eventproc.events import Unreadable, decode
from eventproc.identifiers import EventId
from eventproc.order_guard import Instant, instant, updated_at
from eventproc.outcomes import Unbuildable

_HEADER_CHARACTERS: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

JSON_CONTENT_TYPE: Final = "application/json; charset=utf-8"


class Body(NamedTuple):
    """What is sent, before it is signed: ``payload`` are the exact bytes."""

    event_id: EventId
    payload: bytes
    updated_at: Instant | None


def build_body(destination: Destination, job: Job, now: float) -> Body | Unbuildable:
    """Anew at each attempt: a body can hold a token that ages. ``now`` in seconds since the epoch."""
    try:
        return _build_from_span(destination, job, now) or _build(destination, job, now)
    except PayloadError as error:
        return Unbuildable(str(error))


def _build_from_span(destination: Destination, job: Job, now: float) -> Body | None:
    if destination.build_from_span is None:
        return None
    built = destination.build_from_span(job.origin, job.record.value, job.published_ms, now)
    return None if built is None else Body(job.origin.event_id, built.payload, instant(built.updated_at))


def _build(destination: Destination, job: Job, now: float) -> Body | Unbuildable:
    event = decode(job.record.value)
    if isinstance(event, Unreadable):
        return Unbuildable(f"{event.reason.value}: {event.detail}")
    return Body(event.id, destination.build_body(event, job.published_ms, now), updated_at(event.transaction))


def sign(destination: Destination, job: Job, body: Body, now: float) -> dict[str, str]:
    """The headers, made at the last moment: receivers refuse a signature that is a minute old."""
    headers = {"Content-Type": JSON_CONTENT_TYPE, "X-Event-Id": _header_text(body.event_id)}
    if job.origin.redriven is not None:
        headers["X-Event-Redriven"] = _header_text(job.origin.redriven)
    headers.update(destination.authenticator.headers(body.payload, now))
    return headers


def _header_text(value: str) -> str:
    """A value as an HTTP header can hold it: what may not stand there is percent-encoded."""
    if value.isascii() and value.isprintable():
        return value
    return quote(value, safe=_HEADER_CHARACTERS, errors="replace")
