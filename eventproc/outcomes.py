"""Step 8 – verdict: what a response, or its absence, says about the event and about the endpoint.

Four outcomes, and no fifth way for a record to end an attempt::

    2xx                                     Delivered
    400 409 410 413 414 415 422 431         Rejected    the endpoint read it and does not want this event
    no response, 3xx, other 4xx, 5xx        Failed      the endpoint, until others show that it is the event
    body cannot be built                    Unbuildable the event, for this destination, for good
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

REJECTING_STATUSES: Final = frozenset({400, 409, 410, 413, 414, 415, 422, 431})


class FailureKind(enum.Enum):
    """Why no usable response came; also the reason in headers, logs and metrics."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    TLS = "tls"
    PROTOCOL = "protocol"
    FORBIDDEN_ADDRESS = "forbidden_address"
    STATUS = "status"
    REDIRECT = "redirect"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: status, ``Retry-After`` and ``Date`` as sent, and the first bytes of the body.

    ``location`` is where a redirect leads, without its query.
    """

    status: int
    retry_after: str | None
    excerpt: bytes
    date: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class NoResponse:
    """Nothing usable came back; ``detail`` is for people and holds no secret.

    ``was_sent`` is False when no byte of the request left: nothing was learned about this event.
    """

    kind: FailureKind
    detail: str
    was_sent: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took the event."""

    status: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The receiver answered that it does not want this event."""

    status: int
    retry_after_seconds: float | None
    excerpt: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The endpoint did not accept the event; whose fault it is, others' success tells.

    Without ``was_sent`` it is the endpoint's: the receiver has not seen the event.
    """

    kind: FailureKind
    status: int | None
    retry_after_seconds: float | None
    excerpt: bytes
    detail: str
    was_sent: bool = True


@dataclass(frozen=True, slots=True)
class Unbuildable:
    """The body for this destination cannot be made from this event."""

    detail: str


Outcome: TypeAlias = Delivered | Rejected | Failed | Unbuildable


def judge(result: Response | NoResponse, now: float) -> Delivered | Rejected | Failed:
    """Turn what the sender saw into an outcome.

    Args:
        result: what the sender saw.
        now: seconds since the epoch; what a date in ``Retry-After`` is measured against when the response has
            no ``Date``. With one, a clock that is wrong, ours or theirs, changes no wait.
    """
    if isinstance(result, NoResponse):
        return Failed(result.kind, None, None, b"", result.detail, result.was_sent)
    status = result.status
    if 200 <= status < 300:
        return Delivered(status)
    sent_at = None if result.date is None else _http_date(result.date)
    wait = retry_after_seconds(result.retry_after, now if sent_at is None else sent_at.timestamp())
    if status in REJECTING_STATUSES:
        return Rejected(status, wait, result.excerpt)
    kind = FailureKind.REDIRECT if 300 <= status < 400 else FailureKind.STATUS
    where = "" if result.location is None or kind is not FailureKind.REDIRECT else f" to {result.location}"
    return Failed(kind, status, wait, result.excerpt, f"HTTP {status}{where}")


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """``Retry-After`` as seconds from now: a number or an HTTP date (RFC 9110, 10.2.3); None if neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    date = _http_date(text)
    if date is None:
        return None
    return max(0.0, (date - datetime.fromtimestamp(now, timezone.utc)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        date = date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)
        date.timestamp()
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
    return date
