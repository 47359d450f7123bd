"""From a job to what is sent: steps 1 (decode), 5 (body) and 6 (sign) of one attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from eventproc.delivery.inbound import Job
from eventproc.destinations import Destination
from eventproc.errors import PayloadError
from eventproc.events import Unreadable, decode
from eventproc.identifiers import EventId
from eventproc.order_guard import Instant, updated_at
from eventproc.outcomes import Unbuildable

_HEADER_CHARACTERS: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

JSON_CONTENT_TYPE: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent, before it is signed: ``payload`` are the exact bytes."""

    event_id: EventId
    payload: bytes
    updated_at: Instant | None


def build_body(destination: Destination, job: Job, now: float) -> Body | Unbuildable:
    """Anew at each attempt: a body can hold a token that ages. ``now`` in seconds since the epoch."""
    event = decode(job.record.value)
    if isinstance(event, Unreadable):
        return Unbuildable(f"{event.reason.value}: {event.detail}")
    try:
        payload = destination.build_body(event, job.published_ms, now)
    except PayloadError as error:
        return Unbuildable(str(error))
    return Body(event.id, payload, updated_at(event.transaction))


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
