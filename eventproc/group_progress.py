"""How far the consumer group is, from what Kafka keeps of it: in one partition, and per destination."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc.breaker import BreakerState
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause
from eventproc.watermark import MetadataError, decode_metadata


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is not delivered of one partition; ``first_offset`` is the oldest one's, None if none is left."""

    count: int
    first_offset: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """One worker of the group."""

    client_id: str
    host: str


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """One destination.

    ``lag`` counts its records that are not done; ``oldest_ms`` is when the anchor published the oldest of
    them, in ms since the epoch. ``dead_letters`` is None when there were too many to count; ``partitions`` is
    0 as long as nobody has made the topic. ``breaker`` is the workers' worst, None when it is not known.
    """

    id: DestinationId
    topic: str
    partitions: int
    lag: int
    oldest_ms: int | None
    pause: Pause | None
    dead_letters: int | None
    breaker: BreakerState | None = None

    @property
    def state(self) -> str | None:
        """``paused``, else how its breaker stands; None when that is not known."""
        if self.pause is not None:
            return "paused"
        return None if self.breaker is None else self.breaker.value


@dataclass(frozen=True, slots=True)
class Asked:
    """A worker that was asked for its breakers; ``problem`` says why it did not tell them."""

    url: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """What waits for a destination that is configured no longer, in its topic.

    Not ``is_exact`` where Kafka has no offset of the group: all there is may wait, or have been delivered
    before the offsets were forgotten.
    """

    topic: str
    waiting: int
    is_exact: bool

    def __str__(self) -> str:
        events = "1 event waits" if self.waiting == 1 else f"{self.waiting} events wait"
        return events if self.is_exact else f"{events}, or were delivered before Kafka forgot the offsets"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Everything; ``members`` and ``left_behind`` are None when the broker does not tell them.

    ``source_lag``: records not routed.
    """

    group: str
    members: list[Member] | None
    source_lag: int
    destinations: list[DestinationStatus]
    asked: list[Asked] = field(default_factory=list)
    left_behind: list[LeftBehind] | None = field(default_factory=list)


def remaining(begin: int, end: int, committed: int | None, metadata: str) -> Remaining:
    """What is left to do, the offsets done beyond the committed one not counted.

    Args:
        begin: the partition's first offset.
        end: the offset after its last one.
        committed: the group's, None when it has none.
        metadata: what is committed beside it; see ``watermark.py``. Unreadable, it tells nothing.
    """
    # Cut back, as a worker takes it. Without metadata it is the embedded broker, which reports ends too low.
    if committed is None or (metadata and committed > end):
        return _from(begin, end, [])
    try:
        snapshot = decode_metadata(metadata) if metadata else None
    except MetadataError:
        snapshot = None
    if snapshot is None or snapshot.base != committed:
        return _from(max(begin, committed), end, [])
    return _from(max(begin, snapshot.next), end, [one for one in snapshot.open if begin <= one < end])


def _from(start: int, end: int, earlier: list[int]) -> Remaining:
    """Everything from ``start`` on, and some single offsets before it."""
    behind = max(0, end - start)
    first = earlier[0] if earlier else start if behind else None
    return Remaining(len(earlier) + behind, first)
