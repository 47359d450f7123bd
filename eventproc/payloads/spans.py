"""What the router spares the sinks: the place of the transaction in a record's value.

The router has every event decoded. Where what a body needs of the transaction stands in the value byte for
byte, as in what the platform writes, and holds no number, it notes the place in a header. Then the business
server's body is joined around these bytes, and a wallet's body is built of them alone: the business server's
way of an event is a fifth shorter for it. The comparison is of bytes, so the bodies cannot differ from those
of a decoded event.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson

from eventproc.events import Event, EventType
from eventproc.payloads.json_bytes import encode
from eventproc.payloads.platform_event import iso_timestamp
from eventproc.records import Origin

_TYPES: Final = {
    kind.value: kind for kind in (EventType.TRANSACTION_CREATED, EventType.TRANSACTION_STATUS_CHANGED)
}


class SpannedBody(NamedTuple):
    """The exact bytes to send, and the transaction's ``updated_at`` as received."""

    payload: bytes
    updated_at: object


def transaction_span(event: Event) -> bytes | None:
    """``start end length updated_at`` of the transaction in the value; None where it must be decoded.

    ``length`` is the whole value's, so that a span is not used with another value.
    """
    if not event.is_plain or event.transaction is None or event.type.value not in _TYPES:
        return None
    encoded = encode(event.transaction)
    start = event.raw.find(encoded)
    if start < 0:
        return None
    updated_at = event.transaction.get("updated_at")
    text = updated_at if isinstance(updated_at, str) else ""
    return f"{start} {start + len(encoded)} {len(event.raw)} {text}".encode()


def joined_body(origin: Origin, value: bytes | None, timestamp_ms: int) -> SpannedBody | None:
    """The business server's body of one record; None when its span does not allow it.

    Args:
        origin: what the record's headers say.
        value: the record's value.
        timestamp_ms: as for ``platform_event_body``.
    """
    found = _transaction_bytes(origin, value)
    if found is None:
        return None
    transaction, updated_at = found
    head = {"id": origin.event_id, "timestamp": iso_timestamp(timestamp_ms), "type": origin.event_type}
    payload = b'%b,"payload":{"transaction":%b}}' % (encode(head)[:-1], transaction)
    return SpannedBody(payload, updated_at)


def spanned_event(origin: Origin, value: bytes | None) -> Event | None:
    """The event as far as a wallet's body needs it, its transaction; None when the span does not allow it."""
    found = _transaction_bytes(origin, value)
    if found is None or value is None:
        return None
    try:
        transaction = orjson.loads(found[0])
    except orjson.JSONDecodeError:
        return None
    type_ = _TYPES[origin.event_type]
    return Event(origin.event_id, type_, None, transaction, None, None, value, is_plain=True)


def _transaction_bytes(origin: Origin, value: bytes | None) -> tuple[bytes, str] | None:
    if origin.transaction_span is None or value is None or origin.event_type not in _TYPES:
        return None
    try:
        start, end, length, updated_at = origin.transaction_span.decode().split(" ", 3)
        if int(length) != len(value):
            return None
        transaction = value[int(start) : int(end)]
    except ValueError:
        return None
    return transaction, updated_at
