"""What a shadow worker would have sent, as a Kafka record: the body as value, everything else in headers.

The key is the destination, so that all of its requests stand in one partition, in the order in which they
would have gone out. A console consumer shows the body as the receiver would have got it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from eventproc.identifiers import DestinationId
from eventproc.records import Headers, header_values
from eventproc.shadow.request import SentRequest
from eventproc.signed_text import EVENT_ID_HEADER, LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER
from eventproc.times import iso, read_time

DESTINATION: Final = "destination"
METHOD: Final = "method"
URL: Final = "url"
AT: Final = "at"
HTTP_HEADER: Final = "http-header."
MASK: Final = "********"

SHOWN_HEADERS: Final = frozenset(
    name.lower()
    for name in (
        SIGNATURE_HEADER,
        LEGACY_SIGNATURE_HEADER,
        EVENT_ID_HEADER,
        *("Content-Type", "X-Event-Redriven", "traceparent"),
    )
)
"""Whoever may read the topic may see these. All others are masked: one of them is the token or the key."""


def shadow_record(request: SentRequest, at: datetime) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of the record; secrets are masked."""
    destination = (request.destination or "").encode("utf-8", "replace")
    headers: Headers = [
        (DESTINATION, destination),
        (METHOD, request.method.encode()),
        (URL, request.url.encode("utf-8", "replace")),
        (AT, iso(at).encode()),
    ]
    for name, value in (request.headers or {}).items():
        headers.append((HTTP_HEADER + name, _masked(name, value).encode("utf-8", "replace")))
    return destination, request.body, headers


def read_shadow_record(
    headers: Iterable[tuple[str, bytes | None]], value: bytes | None
) -> SentRequest | None:
    """The request again; None for a record that is none of ours."""
    found = {name: text.decode("utf-8", "replace") for name, text in header_values(headers).items()}
    if DESTINATION not in found or URL not in found or value is None:
        return None
    return SentRequest(
        found[URL],
        value,
        {
            name.removeprefix(HTTP_HEADER): text
            for name, text in found.items()
            if name.startswith(HTTP_HEADER)
        },
        DestinationId(found[DESTINATION]),
        read_time(found.get(AT, "")),
        found.get(METHOD, "POST"),
    )


def is_masked(request: SentRequest) -> bool:
    """Whether ``shadow_record`` has masked a secret of it."""
    return any(value.endswith(MASK) for value in (request.headers or {}).values())


def _masked(name: str, value: str) -> str:
    if name.lower() in SHOWN_HEADERS:
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {MASK}" if space and scheme == "Bearer" else MASK
