"""Counts what is due against what comes, for hours: it forgets what is done.

A lane (one transaction at one destination) is forgotten when all that is due of it has come and
``grace_seconds`` have passed since. Until then lost, repeated and overtaken events are told exactly, as by
``tests.chaos.ledger``, from which the words are. What comes again after that is a stranger, as what was never
due is: it loses its name, but it is counted. Overtaking cannot hide either: all events of a forgotten lane
have come, so one that is due later overtakes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.ledger import Delivery, Tally


@dataclass(frozen=True, slots=True)
class Repetition:
    """When a delivery had come before, and when it came again."""

    before: float
    again: float


@dataclass(slots=True)
class _Lane:
    touched: float
    deliveries: list[Delivery] = field(default_factory=list)
    waiting: int = 0
    newest: int = -1  # place of the latest event that has come


@dataclass(slots=True)
class _Due:
    lane: _Lane
    place: int
    came_at: float | None = None


class ForgetfulLedger:
    """Every delivery that is due or has come of late; times are given in seconds of a monotonic clock."""

    def __init__(self, grace_seconds: float) -> None:
        self.repetitions: list[Repetition] = []
        self._grace_seconds = grace_seconds
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._dues: dict[Delivery, _Due] = {}
        self._waiting: dict[Delivery, float] = {}  # since when, the oldest first
        self._sent = self._received = self._out_of_order = self._strangers = 0

    def __len__(self) -> int:
        """How many deliveries are remembered."""
        return len(self._dues)

    @property
    def waiting(self) -> int:
        """How many deliveries are due and have not come."""
        return len(self._waiting)

    def oldest_seconds(self, now: float) -> float:
        """For how long the oldest delivery has been waiting; 0 when none is."""
        return max(0.0, now - next(iter(self._waiting.values()), now))

    def due(self, destination: str, event_id: str, transaction_id: str, now: float) -> None:
        """This event is being sent, after all those of its transaction that were named before."""
        delivery = (destination, event_id)
        if delivery in self._dues:
            raise ValueError(f"{delivery} is due twice: event ids must be unique")
        lane = self._lanes.setdefault((destination, transaction_id), _Lane(now))
        self._dues[delivery] = _Due(lane, len(lane.deliveries))
        self._waiting[delivery] = now
        lane.deliveries.append(delivery)
        lane.waiting += 1
        lane.touched = now
        self._sent += 1

    def received(self, destination: str, event_id: str, now: float) -> None:
        """The destination has taken this event, for the first time or again."""
        delivery = (destination, event_id)
        due = self._dues.get(delivery)
        if due is None:
            self._strangers += 1
            return
        due.lane.touched = now
        if due.came_at is None:
            self._received += 1
            self._out_of_order += due.place < due.lane.newest
            due.lane.newest = max(due.lane.newest, due.place)
            due.lane.waiting -= 1
            del self._waiting[delivery]
        else:
            self.repetitions.append(Repetition(due.came_at, now))
        due.came_at = now

    def forget(self, now: float) -> None:
        """Let go of the lanes that are done since the grace time."""
        done = [
            key
            for key, lane in self._lanes.items()
            if not lane.waiting and now - lane.touched > self._grace_seconds
        ]
        for key in done:
            for delivery in self._lanes.pop(key).deliveries:
                del self._dues[delivery]

    def tally(self) -> Tally:
        """The counts as they are now; what waits counts as lost."""
        return Tally(
            sent=self._sent,
            received=self._received,
            lost=self.waiting,
            duplicates=len(self.repetitions),
            out_of_order=self._out_of_order,
            strangers=self._strangers,
        )
