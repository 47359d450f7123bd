"""One record on its way to a destination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from eventproc.delivery.partitions import Partition
from eventproc.identifiers import LaneKey
from eventproc.records import Headers, Origin


class InboundRecord(NamedTuple):
    """One record as Kafka gave it; ``timestamp_ms`` is Kafka's."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


@dataclass(slots=True, eq=False)
class Job:
    """One event that waits for a destination, and how it fared so far.

    ``failures_of_its_own`` counts towards the dead-letter topic: the endpoint refused this event, or failed
    it while it answered others. ``first_failed_at`` is on the engine's monotonic clock.
    """

    record: InboundRecord
    origin: Origin
    attempts: int = 0
    failures_of_its_own: int = 0
    first_failed_at: float | None = None

    @property
    def lane(self) -> LaneKey:
        """The record's key is what the event is about; without a key every event is a lane of its own."""
        if self.record.key:
            return LaneKey(self.record.key.decode("utf-8", "replace"))
        return LaneKey(self.origin.event_id or f"{self.record.partition[1]}/{self.record.offset}")

    @property
    def published_ms(self) -> int:
        """When the anchor published it, by Kafka's timestamp in the source topic."""
        source = self.origin.source
        return self.record.timestamp_ms if source is None else source.timestamp_ms

    @property
    def waits_since_ms(self) -> int:
        """The same for ages; when it came here where the anchor gave no time (0 or less)."""
        return self.published_ms if self.published_ms > 0 else self.record.timestamp_ms

    @property
    def value_bytes(self) -> int:
        """The size of its value."""
        return len(self.record.value or b"")
