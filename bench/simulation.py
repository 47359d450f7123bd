"""One worker and its destinations, simulated: whom does it hurt when some destinations are down?

Three ways to lay destinations out over Kafka's partitions:

- ``TOPIC_EACH``: a queue for each, as eventproc has it.
- ``SHARED``: a few partitions for all, read in order; a record leaves the worker's window when it is done.
- ``PARKED``: the same, and when more than a few records wait for one destination, they are written to a queue
  of its own. From then on all of its records go there, and from there to it, until that queue is empty: so
  its order is kept.

A discrete-event simulation with one processor, a seed, and no Kafka. It has what decides the question:
fetches, windows, lanes, CPU, receivers' time. It leaves out what does not: retries, commits, a second worker.
A receiver that is down is known to be down, as behind an open breaker.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from bench.percentiles import percentile
from eventproc.delivery.fetch_pace import fetch_pace

HOP_SECONDS = 0.003
"""Half of what the benchmark measures from publish to receiver with little to do: there are two hops."""
FETCH_WAIT_MS = 20


class Layout(Enum):
    """How destinations lie on partitions."""

    TOPIC_EACH = "a topic each"
    SHARED = "shared"
    PARKED = "shared, with parking"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A worker's load. ``window``: records of one partition in hand; ``partitions``: of the shared topic."""

    layout: Layout
    down_share: float
    slow_share: float = 0.0
    """These answer, after ``slow_seconds``."""
    slow_seconds: float = 25.0
    destinations: int = 60
    partitions: int = 4
    lanes: int = 8
    events_per_second: float = 60.0
    latency_seconds: float = 0.05
    window: int = 150
    park_after: int = 10
    max_in_flight: int = 64
    delivery_seconds: float = 321e-6
    park_seconds: float = 60e-6
    fetched_partitions: int = 1000
    """Of the worker, where each destination has a topic: what sets the pace of its fetches."""
    outage: tuple[float, float] = (10.0, 130.0)
    seconds: float = 150.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """Delays in seconds from publish to the receiver's yes, of events published during the outage."""

    healthy: list[float] = field(default_factory=list)
    stalled_after: float | None = None
    """Seconds of outage until a partition stood still for all."""
    parked: int = 0
    most_in_hand: int = 0
    delivered: int = 0
    out_of_order: int = 0
    drained_seconds: float = 0.0
    """From the end of the outage until nothing waited."""

    def percentile_ms(self, percent: float) -> float:
        """Of the healthy destinations' delays."""
        return percentile(self.healthy, percent) * 1000


@dataclass(slots=True)
class _Record:
    number: int
    published: float
    destination: int
    lane: int
    is_in_window: bool = False


@dataclass(slots=True)
class _Destination:
    lanes: dict[int, deque[_Record]] = field(default_factory=dict)
    ready: deque[int] = field(default_factory=deque)
    """Lanes with a record that may be sent."""
    held: int = 0
    in_flight: int = 0
    parked: deque[_Record] = field(default_factory=deque)
    is_parking: bool = False
    newest: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Partition:
    queue: deque[_Record] = field(default_factory=deque)
    in_hand: int = 0


class Simulation:
    """Runs one scenario to its end, when everything published is delivered."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.outcome = Outcome()
        self._random = random.Random(scenario.seed)
        self._destinations = [_Destination() for _ in range(scenario.destinations)]
        own = scenario.layout is Layout.TOPIC_EACH
        self._partitions = [
            _Partition() for _ in range(scenario.destinations if own else scenario.partitions)
        ]
        self._down = round(scenario.destinations * scenario.down_share)
        self._ill = self._down + round(scenario.destinations * scenario.slow_share)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self._now = 0.0
        self._cpu_free = 0.0
        self._in_hand = 0

    def run(self) -> Outcome:
        """What came of it."""
        published = 0
        for record in self._published():
            published += 1
            self._at(self._fetched(record.published), partial(self._arrive, record))
        self._at(self.scenario.outage[1], self._recover)
        while self._agenda:
            self._now, _, act = heapq.heappop(self._agenda)
            act()
        assert self.outcome.delivered == published, "a record was lost"
        return self.outcome

    def _published(self) -> Iterator[_Record]:
        scenario, now, number = self.scenario, 0.0, 0
        while (now := now + self._random.expovariate(scenario.events_per_second)) < scenario.seconds:
            destination = self._random.randrange(scenario.destinations)
            yield _Record(number, now, destination, self._random.randrange(scenario.lanes))
            number += 1

    def _fetched(self, published: float) -> float:
        """Two hops; cheap fetches answer with the first record, others so far apart as their pace says."""
        if self.scenario.layout is not Layout.TOPIC_EACH:
            return published + 2 * HOP_SECONDS
        pace = fetch_pace(self.scenario.fetched_partitions, FETCH_WAIT_MS).apart / 1000
        if not pace:
            return published + 2 * HOP_SECONDS
        routed = math.ceil(published / pace) * pace + HOP_SECONDS
        return (math.ceil(routed / pace + 0.5) - 0.5) * pace + HOP_SECONDS

    def _at(self, when: float, act: Callable[[], None]) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (when, self._planned, act))

    def _is_outage(self) -> bool:
        begin, end = self.scenario.outage
        return begin <= self._now < end

    def _is_down(self, destination: int) -> bool:
        return destination < self._down and self._is_outage()

    def _takes_seconds(self, destination: int) -> float:
        if self._down <= destination < self._ill and self._is_outage():
            return self.scenario.slow_seconds
        return self.scenario.latency_seconds

    def _partition_of(self, destination: int) -> _Partition:
        return self._partitions[destination % len(self._partitions)]

    # -- the way of a record -----------------------------------------------------------------------

    def _arrive(self, record: _Record) -> None:
        partition = self._partition_of(record.destination)
        partition.queue.append(record)
        self._read(partition)

    def _read(self, partition: _Partition) -> None:
        """Take records in hand, in their order, while the window has room."""
        while partition.queue and partition.in_hand < self.scenario.window:
            record = partition.queue.popleft()
            destination = self._destinations[record.destination]
            if destination.is_parking:
                self._park([record], destination)
                self._unpark(record.destination)
                continue
            self._take_in_hand(record, partition)
            self._send(record.destination)
            self._park_if_many(record.destination, partition)
        if partition.queue and self.scenario.layout is not Layout.TOPIC_EACH:
            since = self._now - self.scenario.outage[0]
            if self.outcome.stalled_after is None:
                self.outcome.stalled_after = since

    def _take_in_hand(self, record: _Record, partition: _Partition | None) -> None:
        destination = self._destinations[record.destination]
        lane = destination.lanes.setdefault(record.lane, deque())
        lane.append(record)
        if len(lane) == 1:
            destination.ready.append(record.lane)
        destination.held += 1
        record.is_in_window = partition is not None
        if partition is not None:
            partition.in_hand += 1
        self._in_hand += 1
        self.outcome.most_in_hand = max(self.outcome.most_in_hand, self._in_hand)

    def _send(self, number: int) -> None:
        """Start what may start: one record a lane, up to the destination's limit, as CPU allows."""
        scenario, destination = self.scenario, self._destinations[number]
        if self._is_down(number):
            return
        while destination.ready and destination.in_flight < scenario.max_in_flight:
            record = destination.lanes[destination.ready.popleft()][0]
            destination.in_flight += 1
            self._cpu_free = max(self._now, self._cpu_free) + scenario.delivery_seconds
            takes = self._takes_seconds(number) * self._random.uniform(0.5, 1.5)
            self._at(self._cpu_free + takes, partial(self._done, record))

    def _done(self, record: _Record) -> None:
        destination = self._destinations[record.destination]
        lane = destination.lanes[record.lane]
        lane.popleft()
        if lane:
            destination.ready.append(record.lane)
        destination.in_flight -= 1
        destination.held -= 1
        self._in_hand -= 1
        self._note(record, destination)
        if destination.is_parking:
            self._unpark(record.destination)
        if record.is_in_window:
            partition = self._partition_of(record.destination)
            partition.in_hand -= 1
            self._read(partition)
        self._send(record.destination)

    def _note(self, record: _Record, destination: _Destination) -> None:
        outcome, (begin, end) = self.outcome, self.scenario.outage
        outcome.delivered += 1
        if destination.newest.get(record.lane, -1) > record.number:
            outcome.out_of_order += 1
        destination.newest[record.lane] = record.number
        if record.destination >= self._ill and begin <= record.published < end:
            outcome.healthy.append(self._now - record.published)
        outcome.drained_seconds = max(0.0, self._now - max(end, record.published))

    # -- outage and parking ------------------------------------------------------------------------

    def _park_if_many(self, number: int, partition: _Partition) -> None:
        """Everything that is not under way, in its order; what follows goes there, too."""
        destination = self._destinations[number]
        if self.scenario.layout is not Layout.PARKED or destination.held <= self.scenario.park_after:
            return
        idle = set(destination.ready)
        waiting: list[_Record] = []
        for key, lane in destination.lanes.items():
            while len(lane) > (key not in idle):
                waiting.append(lane.pop())
        waiting.sort(key=lambda record: record.number)
        destination.ready.clear()
        destination.is_parking = True
        destination.held -= len(waiting)
        partition.in_hand -= len(waiting)
        self._in_hand -= len(waiting)
        self._park(waiting, destination)

    def _park(self, records: list[_Record], destination: _Destination) -> None:
        destination.parked.extend(records)
        self.outcome.parked += len(records)
        self._cpu_free = max(self._now, self._cpu_free) + len(records) * self.scenario.park_seconds

    def _unpark(self, number: int) -> None:
        """Take from the destination's own queue, as from a topic; the last one ends the parking."""
        destination = self._destinations[number]
        if self._is_down(number):
            return
        while destination.parked and destination.held < self.scenario.max_in_flight:
            self._take_in_hand(destination.parked.popleft(), None)
        if not destination.parked and not destination.held:
            destination.is_parking = False
        self._send(number)

    def _recover(self) -> None:
        for number in range(self._down):
            if self._destinations[number].is_parking:
                self._unpark(number)
            self._send(number)


def simulate(scenario: Scenario) -> Outcome:
    """Run it."""
    return Simulation(scenario).run()
