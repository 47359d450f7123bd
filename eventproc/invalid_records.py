"""The topic of invalid records: which of the anchor's records could not be read, and why.

A router writes each as it came, with its place and the reason in headers. After a crash one can stand there
twice; ``newest_of_each`` takes them for one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eventproc.records import Headers, Source, header_values, read_origin
from eventproc.times import from_ms

INVALID_REASON: Final = "invalid-reason"
INVALID_DETAIL: Final = "invalid-detail"


@dataclass(frozen=True, slots=True)
class InvalidRecord:
    """One record that could not be read.

    ``source`` is where it stands in the anchor's topic, None when no router wrote this; ``value_bytes`` is
    the length of the value kept, None where there is none (it was none, or too large); ``at`` is when a
    router set it aside.
    """

    offset: int
    at: datetime
    key: bytes | None
    source: Source | None
    reason: str
    detail: str
    value_bytes: int | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> str:
        """``TRANSACTION/0/17``, as logs and timelines have it; empty when it is not known."""
        return "" if self.source is None else "/".join(map(str, self.source[:3]))

    @property
    def key_text(self) -> str:
        """The key as text; the Anchor Platform's is the event's id."""
        return (self.key or b"").decode("utf-8", "replace")

    @property
    def published_at(self) -> datetime | None:
        """When the anchor published it."""
        return None if self.source is None else from_ms(self.source.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which are meant: of each kind any one named, of all kinds named every one; none named: all.

    ``names`` are places or keys; the times bound when it was set aside, both inclusive.
    """

    names: Collection[str] = ()
    reasons: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, record: InvalidRecord) -> bool:
        """Whether this one is meant."""
        return (
            (not self.names or record.place in self.names or record.key_text in self.names)
            and (not self.reasons or record.reason in self.reasons)
            and (self.since is None or record.at >= self.since)
            and (self.until is None or record.at <= self.until)
        )


def read_invalid_record(
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> InvalidRecord:
    """One record of the topic; what somebody else wrote there has no place and no reason."""
    all_headers = list(headers)
    found = header_values(all_headers)
    return InvalidRecord(
        offset,
        from_ms(timestamp_ms),
        key,
        read_origin(all_headers).source,
        found.get(INVALID_REASON, b"").decode("utf-8", "replace"),
        found.get(INVALID_DETAIL, b"").decode("utf-8", "replace"),
        None if value is None else len(value),
        value,
        all_headers,
    )


def newest_of_each(records: Iterable[InvalidRecord]) -> list[InvalidRecord]:
    """Each once, by its place, in the order in which they were first set aside."""
    return list({record.place or record.offset: record for record in records}.values())
