"""Whether an event is older than what its lane has already delivered (``delivery.order``).

The source is keyed by event id, so with several source partitions the events of one transaction can arrive
out of order before this project ever sees them. ``updated_at`` tells. The guard remembers the newest
delivered instant of the last lanes only, and only in this worker's life: a courtesy, no promise. What it
remembers is bounded for the worker and not for each destination, of which there may be thousands.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Final, TypeAlias

from eventproc.identifiers import DestinationId, LaneKey

REMEMBERED_LANES: Final = 50_000
"""Of all destinations together, some 300 bytes each."""

_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")

Instant: TypeAlias = str
"""UTC as text, the fraction padded to nanoseconds: compares like the time it stands for."""


class OrderGuard:
    """The newest delivered ``updated_at`` of each of the last lanes of a worker's destinations."""

    def __init__(self, remembered_lanes: int = REMEMBERED_LANES) -> None:
        self._newest: OrderedDict[tuple[DestinationId, LaneKey], Instant] = OrderedDict()
        self._limit = remembered_lanes

    def is_stale(self, destination: DestinationId, lane: LaneKey, instant: Instant | None) -> bool:
        """True when a newer state of this lane was delivered; False when nobody can tell."""
        newest = self._newest.get((destination, lane))
        return instant is not None and newest is not None and instant < newest

    def delivered(self, destination: DestinationId, lane: LaneKey, instant: Instant | None) -> None:
        """Remember that the state at ``instant`` was delivered."""
        if instant is None:
            return
        newest = self._newest.pop((destination, lane), instant)
        self._newest[destination, lane] = max(newest, instant)
        if len(self._newest) > self._limit:
            self._newest.popitem(last=False)


def updated_at(transaction: dict[str, Any] | None) -> Instant | None:
    """The transaction's ``updated_at``, comparable; None when it has none that can be compared."""
    return None if transaction is None else instant(transaction.get("updated_at"))


def instant(value: object) -> Instant | None:
    """A point in time as the platform writes it, comparable; None for anything else."""
    found = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else f"{found[1]}.{found[2] or '':0<9}"
