"""Counts what was sent against what was received: lost, twice, out of order.

A delivery is one event at one destination, so an event for two destinations is due twice. A lane is one
transaction at one destination; its first receptions must come in the order in which its events were sent.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TypeAlias

Delivery: TypeAlias = tuple[str, str]
"""Destination and event id."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The result of one run; ``received + lost + dead_lettered == sent``.

    ``duplicates`` are receptions after the first. ``out_of_order`` are the events that came for the first
    time after a later event of their lane. ``strangers`` are receptions of what was never due there.
    """

    sent: int
    received: int
    lost: int
    duplicates: int
    out_of_order: int
    strangers: int = 0
    dead_lettered: int = 0

    def line(self, name: str) -> str:
        """What each chaos run prints."""
        line = (
            f"chaos: {name} sent={self.sent} received={self.received} lost={self.lost} "
            f"duplicates={self.duplicates} out_of_order={self.out_of_order}"
        )
        return f"{line} dead_lettered={self.dead_lettered}" if self.dead_lettered else line


class DeliveryLedger:
    """Everything that is due and everything that has come."""

    def __init__(self) -> None:
        self._lanes: defaultdict[tuple[str, str], list[Delivery]] = defaultdict(list)
        self._due: set[Delivery] = set()
        self._first: dict[Delivery, int] = {}
        self._times: Counter[Delivery] = Counter()
        self._dead_lettered: set[Delivery] = set()

    def due(self, destination: str, event_id: str, transaction_id: str) -> None:
        """This event is being sent, after all those of its transaction that were named before."""
        delivery = (destination, event_id)
        if delivery in self._due:
            raise ValueError(f"{delivery} is due twice: the test must use unique event ids")
        self._due.add(delivery)
        self._lanes[destination, transaction_id].append(delivery)

    def received(self, destination: str, event_id: str) -> None:
        """The destination has taken this event, for the first time or again."""
        delivery = (destination, event_id)
        self._first.setdefault(delivery, len(self._first))
        self._times[delivery] += 1

    def dead_lettered(self, destination: str, event_id: str) -> None:
        """This delivery stands in the dead-letter topic: not lost; once received, it counts as that."""
        self._dead_lettered.add((destination, event_id))

    @property
    def missing(self) -> int:
        """How many deliveries are due and have not come; exact as long as no stranger came."""
        return len(self._due) - len(self._first)

    def times(self, destination: str, event_id: str) -> int:
        """How often this delivery has come."""
        return self._times[destination, event_id]

    def duplicates_at(self, destination: str) -> int:
        """How many receptions after the first one destination has had."""
        return sum(times - 1 for (where, _), times in self._times.items() if where == destination)

    def tally(self) -> Tally:
        """The counts as they are now."""
        received = len(self._due & self._first.keys())
        dead_lettered = len((self._due & self._dead_lettered) - self._first.keys())
        return Tally(
            sent=len(self._due),
            received=received,
            lost=len(self._due) - received - dead_lettered,
            duplicates=sum(times - 1 for times in self._times.values()),
            out_of_order=sum(self._out_of_order(lane) for lane in self._lanes.values()),
            strangers=len(self._first.keys() - self._due),
            dead_lettered=dead_lettered,
        )

    def _out_of_order(self, lane: list[Delivery]) -> int:
        """How many events of the lane came for the first time after a later one."""
        earliest_later, count = len(self._first), 0
        for position in (self._first[delivery] for delivery in reversed(lane) if delivery in self._first):
            count += position > earliest_later
            earliest_later = min(earliest_later, position)
        return count
