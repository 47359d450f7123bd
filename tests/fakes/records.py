"""Events and records for unit tests."""

from __future__ import annotations

import json
from typing import Any

from eventproc.auth import NoAuth
from eventproc.delivery.inbound import InboundRecord
from eventproc.destinations import Destination, Endpoint
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.records import Headers, Source, source_headers

TOPIC = "eventproc.test"


def event_value(event_id: str, transaction_id: str, **members: Any) -> bytes:
    transaction = {"id": transaction_id, "sep": "24", "kind": "deposit", "status": "completed", **members}
    event = {"type": "transaction_status_changed", "id": event_id, "sep": "24", "transaction": transaction}
    return json.dumps(event).encode()


def record(
    offset: int, lane: str, *, partition: int = 0, headers: Headers | None = None, **members: Any
) -> InboundRecord:
    """The record at ``offset`` whose event is ``e<offset>``, about the transaction ``lane``."""
    source = source_headers(Source("TRANSACTION", 0, offset, 1_795_500_000_000))
    return InboundRecord(
        partition=(TOPIC, partition),
        offset=offset,
        key=lane.encode(),
        value=event_value(f"e{offset}", lane, **members),
        headers=[("event-id", b"e%d" % offset), *(source if headers is None else headers)],
        timestamp_ms=1_795_500_000_000,
    )


def id_body(event: Event, _timestamp_ms: int, _now: float) -> bytes:
    """A body that is just the event's id."""
    return event.id.encode()


def destination(name: str = "test") -> Destination:
    return Destination(DestinationId(name), TOPIC, Endpoint("http://127.0.0.1:9/"), NoAuth(), id_body)
