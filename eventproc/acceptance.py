"""Whether a destination has ever accepted an event as it is configured now: what a rejection then means.

::

    unproven ── an event is accepted ──────────────────────────> proven
      │  ^                                                        │
      │  └──── URL, key or certificate changes ───────────────────┘
      └─ rejects for ``unproven_max_hours``, accepts nothing ──> overdue ── an event is accepted ──> proven

========  =====================================================================================
unproven  a rejection is the destination's: the breaker opens, no event is given up
proven    a rejection is the event's: it is given up after its attempts
overdue   the same as proven, so that a destination that is not repaired does not fill Kafka
========  =====================================================================================

An ``http://`` URL towards a TLS port, a missing client certificate and a host that the application does not
know are all answered with 400, whatever the event: without this, each event is given up after ten attempts.

What was accepted is kept in a compacted topic, one record per destination. A second one, under its own key,
has when the rejections began: under the same key, a worker that has not read an acceptance yet could
overwrite it. Without a record (the first start, an upgrade) one accepted event proves a destination.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventproc.identifiers import DestinationId

REJECTING: Final = "|rejecting"
"""Behind a destination's id, the key of the second record. Ids end in a SEP or are ``callback-api``."""


class Standing(enum.Enum):
    """The value is shown on pages."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Mark:
    """Under which configuration it happened, and when (seconds since the epoch)."""

    fingerprint: str
    at: float


def standing_of(
    fingerprint: str, accepted: Mark | None, rejecting: Mark | None, now: float, max_seconds: float
) -> Standing:
    """Decide by what is recorded of a destination.

    Args:
        fingerprint: of its configuration now.
        accepted: the last acceptance that is recorded.
        rejecting: the last beginning of rejections that is recorded.
        now: seconds since the epoch.
        max_seconds: how long rejections may be the destination's.
    """
    if accepted is not None and accepted.fingerprint == fingerprint:
        return Standing.PROVEN
    if max_seconds <= 0:
        return Standing.OVERDUE
    if rejecting is not None and rejecting.fingerprint == fingerprint and now - rejecting.at >= max_seconds:
        return Standing.OVERDUE
    return Standing.UNPROVEN


class AcceptanceBook:
    """Folds the topic, read from its start: the last word about each destination counts."""

    def __init__(self) -> None:
        self.accepted: dict[DestinationId, Mark] = {}
        self.rejecting: dict[DestinationId, Mark] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take the next record. One that cannot be read, or a tombstone, removes what it is about."""
        name = (key or b"").decode("utf-8", "replace")
        marks = self.rejecting if name.endswith(REJECTING) else self.accepted
        destination = DestinationId(name.removesuffix(REJECTING))
        mark = _read(value)
        if mark is None:
            marks.pop(destination, None)
        else:
            marks[destination] = mark


def accepted_record(destination: DestinationId, mark: Mark) -> tuple[bytes, bytes]:
    """The key and the value of the record that the destination has accepted an event."""
    return destination.encode("utf-8", "replace"), _value(mark)


def rejecting_record(destination: DestinationId, mark: Mark) -> tuple[bytes, bytes]:
    """The key and the value of the record that the destination began to reject."""
    return f"{destination}{REJECTING}".encode("utf-8", "replace"), _value(mark)


def _value(mark: Mark) -> bytes:
    return orjson.dumps({"fingerprint": mark.fingerprint, "at": mark.at})


def _read(value: bytes | None) -> Mark | None:
    try:
        found: Any = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    fingerprint, at = found.get("fingerprint"), found.get("at")
    if not isinstance(fingerprint, str) or isinstance(at, bool) or not isinstance(at, (int, float)):
        return None
    return Mark(fingerprint, float(at))
