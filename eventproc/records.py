"""Step 3 – internal record: the event as received, keyed by what it is about, its origin in headers.

The value is untouched, so a console consumer shows what the anchor published. The headers name the source
partition and offset: they make a router's replay after a crash recognisable (see ``watermark.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from eventproc.events import Event
from eventproc.identifiers import EventId

SCHEMA_VERSION: Final = b"1"

SCHEMA: Final = "schema-version"
EVENT_ID: Final = "event-id"
EVENT_TYPE: Final = "event-type"
SOURCE_TOPIC: Final = "source-topic"
SOURCE_PARTITION: Final = "source-partition"
SOURCE_OFFSET: Final = "source-offset"
SOURCE_TIMESTAMP: Final = "source-timestamp"
REDRIVEN: Final = "redriven"
TRACEPARENT: Final = "traceparent"
TRANSACTION_SPAN: Final = "transaction-span"

MAX_TRACEPARENT_BYTES: Final = 256
"""W3C's has 55, and a later version may be longer."""

Headers = list[tuple[str, bytes | None]]
"""Kafka record headers: name and value, in order, as aiokafka takes them. Kafka allows a null as value."""


class Source(NamedTuple):
    """Where a record stood in the source topic; ``timestamp_ms`` is Kafka's, in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Origin(NamedTuple):
    """What the headers of an internal record say; ``source`` is None when they do not say where from.

    ``transaction_span`` is ``eventproc.payloads.joined``'s.
    """

    event_id: EventId
    event_type: str
    source: Source | None
    redriven: str | None
    traceparent: bytes | None
    transaction_span: bytes | None = None


def internal_headers(
    event: Event, source: Source, traceparent: bytes | None = None, span: bytes | None = None
) -> Headers:
    """The headers of one event's copies, whatever their destination; ``span`` is ``transaction_span``'s."""
    headers: Headers = [
        (SCHEMA, SCHEMA_VERSION),
        (EVENT_ID, event.id.encode("utf-8", "replace")),
        (EVENT_TYPE, event.type.value.encode()),
        *source_headers(source),
    ]
    if traceparent is not None:
        headers.append((TRACEPARENT, traceparent))
    if span is not None:
        headers.append((TRANSACTION_SPAN, span))
    return headers


def source_headers(source: Source) -> Headers:
    """The four headers that name a record's place in the source topic."""
    return [
        (SOURCE_TOPIC, source.topic.encode()),
        (SOURCE_PARTITION, b"%d" % source.partition),
        (SOURCE_OFFSET, b"%d" % source.offset),
        (SOURCE_TIMESTAMP, b"%d" % source.timestamp_ms),
    ]


def header_values(headers: Iterable[tuple[str, bytes | None]] | None) -> dict[str, bytes]:
    """The headers by name: the last of each name counts, and one without a value is as none."""
    return {name: value for name, value in headers or () if value is not None}


def read_origin(headers: Iterable[tuple[str, bytes | None]] | None) -> Origin:
    """Read back what ``internal_headers`` wrote; what is missing or odd comes back as empty or None.

    A record that somebody else wrote into an internal topic is still an event: it is delivered, only never
    taken for a replay.
    """
    found = header_values(headers)
    redriven = found.get(REDRIVEN)
    return Origin(
        EventId(found.get(EVENT_ID, b"").decode("utf-8", "replace")),
        found.get(EVENT_TYPE, b"").decode("utf-8", "replace"),
        _read_source(found),
        None if redriven is None else redriven.decode("utf-8", "replace"),
        read_traceparent(found),
        found.get(TRANSACTION_SPAN),
    )


def read_traceparent(found: dict[str, bytes]) -> bytes | None:
    """Return the trace that a record belongs to, unless it is far longer than the standard's."""
    value = found.get(TRACEPARENT)
    return value if value is not None and len(value) <= MAX_TRACEPARENT_BYTES else None


def _read_source(found: dict[str, bytes]) -> Source | None:
    try:
        return Source(
            found[SOURCE_TOPIC].decode(),
            int(found[SOURCE_PARTITION]),
            int(found[SOURCE_OFFSET]),
            int(found[SOURCE_TIMESTAMP]),
        )
    except (KeyError, ValueError):
        return None
