"""How many workers, partitions and brokers a load needs, from measured costs. Arithmetic, nothing else.

Four rules carry it:

- **CPU** is the sum of what the pieces cost: routing an event, writing each copy, delivering each copy, and,
  with many partitions, fetching. Workers are as many as keep the average at ``TARGET_UTILISATION`` of a core,
  and the busiest, which routes and has one partition too many, at ``BUSIEST_UTILISATION``.
- **In flight = rate x latency** (Little's law), for each destination, on the worker that has most of its
  partitions, and half as much again for uneven moments.
- **Partitions**: a destination is shared by as many workers as it has partitions, so twice as many as its
  work needs; else ``PREFERRED_PARTITIONS``, halved while a worker would have more than it fetches cheaply.
- **Kafka** stores what is written times the copies, for as long as the longest outage.

Every result names its limits, nearest first: ``Limit.headroom`` is how many times the planned load it bears.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eventproc.assignment import AlikeTopics
from eventproc.delivery.fetch_pace import CHEAP_PARTITIONS, FetchPace, fetch_pace
from eventproc.measured_costs import Costs

TARGET_UTILISATION: Final = 0.6
BUSIEST_UTILISATION: Final = 0.85
IN_FLIGHT_SPARE: Final = 1.5
PREFERRED_PARTITIONS: Final = 8
DEFAULT_IN_FLIGHT: Final = 64
MOST_IN_FLIGHT: Final = 10_000
DEFAULT_WAITING: Final = 1000
DEFAULT_FETCH_WAIT_MS: Final = 20
PRODUCE_SECONDS: Final = 0.002  # one write is under way; what comes meanwhile goes in the next
FETCHED_BYTES: Final = 256 * 1024
SINGLE_TOPICS: Final = 5
"""invalid, dead-letter, customers, control, acceptances: one partition each."""
JOURNAL_PARTITIONS: Final = 8
REPLICAS_PER_BROKER: Final = 4000
"""The general recommendation, as KIP-578 tells it; 200,000 for a cluster."""
REPLICAS_PER_CLUSTER: Final = 200_000
GROUP_RECORD_BYTES: Final = 1_048_588
"""``message.max.bytes``, Kafka's default: a group's members and assignments are one record."""
WORKER_MEMORY_MB: Final = 1024
"""What the chart gives a worker."""
MOST_WORKERS: Final = 5000
_MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be borne. ``wallets`` are wallets' endpoints; shares are between 0 and 1."""

    events_per_second: float
    latency_ms: float
    wallets: int = 1
    business_server: bool = True
    wallet_share: float = 1.0
    largest_wallet_share: float = 0.0
    event_bytes: int = 1350
    outage_hours: float = 24.0
    replication: int = 3

    @property
    def destinations(self) -> int:
        """Each with a topic of its own."""
        return self.wallets + self.business_server

    @property
    def wallet_events_per_second(self) -> float:
        """Of all wallets together."""
        return self.events_per_second * self.wallet_share if self.wallets else 0.0

    @property
    def largest_wallet_per_second(self) -> float:
        """The wallet that gets most; all the same when nothing else is said."""
        if not self.wallets:
            return 0.0
        return self.wallet_events_per_second * max(self.largest_wallet_share, 1 / self.wallets)

    @property
    def copies_per_second(self) -> float:
        """Records into destinations' topics, and so deliveries."""
        return self.events_per_second * self.business_server + self.wallet_events_per_second


@dataclass(frozen=True, slots=True)
class Cores:
    """CPU in cores, of all workers together; ``busiest`` is the share of its one core of the busiest."""

    routing: float
    business_server: float
    wallets: float
    fetching: float
    average: float
    busiest: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.routing + self.business_server + self.wallets + self.fetching


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of a worker; ``each_down`` is what one destination adds whose outage has filled what it may hold."""

    idle: float
    each_down: float
    all_down: float


@dataclass(frozen=True, slots=True)
class Kafka:
    """MB/s, GB and counts of the cluster; ``written`` is ours, without the anchor's and without copies."""

    source_mb_per_second: float
    written_mb_per_second: float
    read_mb_per_second: float
    replicated_mb_per_second: float
    disk_gb: float
    disk_gb_per_day: float
    partitions: int
    replicas: int
    brokers: int
    group_record_bytes: int
    workers_per_topic: int
    records_per_batch_business: float
    records_per_batch_wallet: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from publish to the receiver, without the receiver's own time."""

    partitions_per_worker: int
    pace: FetchPace
    typical_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that gives out: at how many times the planned load, in words where."""

    what: str
    where: str
    headroom: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start and to set, and what to expect of it."""

    load: Load
    workers: int
    source_partitions: int
    topic_partitions: int
    max_in_flight: int
    max_waiting: int
    in_flight_business: float
    in_flight_wallets: float
    cores: Cores
    memory: Memory
    kafka: Kafka
    latency: Latency
    limits: tuple[Limit, ...]
    """The nearest first."""
    partitions_for_largest_wallet: int
    wanted_in_flight: int
    """``max_in_flight`` without the bound of the setting."""
    workers_with_split_source: int
    """How many would do if TRANSACTION had a partition for each worker."""


def plan_capacity(load: Load, costs: Costs) -> Plan:
    """The smallest group of workers that bears the load with room to spare.

    Raises:
        ValueError: more than ``MOST_WORKERS`` workers would be needed.
    """
    source_partitions = max(1, math.ceil(_routing_cores(load, costs) / TARGET_UTILISATION))
    workers = _least_workers(load, costs, source_partitions)
    shape = _Shape(load, costs, workers, source_partitions)
    per_worker = load.latency_ms / 1000 * shape.busiest_share * IN_FLIGHT_SPARE
    hottest = max(load.events_per_second * load.business_server, load.largest_wallet_per_second)
    max_in_flight = max(DEFAULT_IN_FLIGHT, math.ceil(hottest * per_worker / 8) * 8)
    max_waiting, memory = _memory(shape, max_in_flight)
    kafka = _kafka(shape)
    return Plan(
        load=load,
        workers=workers,
        source_partitions=source_partitions,
        topic_partitions=shape.partitions,
        max_in_flight=min(max_in_flight, MOST_IN_FLIGHT),
        max_waiting=max_waiting,
        in_flight_business=load.events_per_second * load.business_server * load.latency_ms / 1000,
        in_flight_wallets=load.wallet_events_per_second * load.latency_ms / 1000,
        cores=shape.cores,
        memory=memory,
        kafka=kafka,
        latency=_latency(shape),
        limits=_limits(shape, min(max_in_flight, MOST_IN_FLIGHT), kafka),
        partitions_for_largest_wallet=_needed_partitions(
            _wallet_cores(costs, load.largest_wallet_per_second)
        ),
        wanted_in_flight=max_in_flight,
        workers_with_split_source=_least_workers(load, costs, max(workers, source_partitions)),
    )


class _Shape:
    """A load on so many workers: what follows from that number."""

    def __init__(self, load: Load, costs: Costs, workers: int, source_partitions: int) -> None:
        self.load = load
        self.costs = costs
        self.workers = workers
        self.source_partitions = source_partitions
        self.partitions = _topic_partitions(load, costs, workers)
        self._count()
        while self.cores.busiest > BUSIEST_UTILISATION and self.partitions < 2 * workers:
            self.partitions *= 2
            self._count()

    def _count(self) -> None:
        load, costs, workers = self.load, self.costs, self.workers
        self.per_worker = math.ceil((load.destinations * self.partitions + self.source_partitions) / workers)
        self.busiest_share = math.ceil(self.partitions / workers) / self.partitions
        """Of one destination's events, on the worker that has most of its partitions."""
        name_bytes = costs.by_hand.topic_name_bytes
        self.group = AlikeTopics(load.destinations, self.partitions, workers, name_bytes)
        self.record_bytes = load.event_bytes + costs.by_hand.record_overhead_bytes
        source = load.events_per_second * load.event_bytes
        self.read_bytes_per_second = source + load.copies_per_second * self.record_bytes
        self.read_per_second = load.events_per_second + load.copies_per_second
        self.pace = fetch_pace(self.per_worker, DEFAULT_FETCH_WAIT_MS)
        self.cores = self._cores()

    def fetches_per_second(self) -> float:
        """Of a worker: one for each record at most, and so often as its pace lets it, also without any."""
        busy = min(self.read_per_second / self.workers, 1000 / max(1, self.pace.apart))
        return max(busy, 1000 / self.pace.wait)

    def _cores(self) -> Cores:
        fetching = 0.0
        if self.per_worker > CHEAP_PARTITIONS:  # below, the benchmark's deliveries have it in them
            each = self.per_worker * self.costs.by_hand.fetch_us_per_partition / 1e6
            fetching = self.workers * min(1.0, each * self.fetches_per_second())
        routing = _routing_cores(self.load, self.costs)
        business = _business_cores(self.load, self.costs)
        wallets = _wallet_cores(self.costs, self.load.wallet_events_per_second)
        largest = _wallet_cores(self.costs, self.load.largest_wallet_per_second)
        source_share = math.ceil(self.source_partitions / self.workers) / self.source_partitions
        busiest = (
            routing * source_share
            + (business + largest) * self.busiest_share
            + (wallets - largest + fetching) / self.workers
        )
        total = routing + business + wallets + fetching
        return Cores(routing, business, wallets, fetching, total / self.workers, busiest)


def _routing_cores(load: Load, costs: Costs) -> float:
    measured = costs.benchmark
    return (
        load.events_per_second * measured.route_us_per_event
        + load.copies_per_second * measured.route_us_per_copy
    ) / 1e6


def _business_cores(load: Load, costs: Costs) -> float:
    return load.events_per_second * load.business_server * costs.benchmark.delivery_us_jwt / 1e6


def _wallet_cores(costs: Costs, events_per_second: float) -> float:
    return events_per_second * costs.benchmark.delivery_us_signature / 1e6


def _least_workers(load: Load, costs: Costs, source_partitions: int) -> int:
    def bears(workers: int) -> bool:
        cores = _Shape(load, costs, workers, source_partitions).cores
        return cores.average <= TARGET_UTILISATION and cores.busiest <= BUSIEST_UTILISATION

    work = _routing_cores(load, costs) + _business_cores(load, costs)
    work += _wallet_cores(costs, load.wallet_events_per_second)
    least = max(1, math.ceil(work / TARGET_UTILISATION))
    for workers in range(least, MOST_WORKERS + 1):
        if bears(workers):
            return workers
    raise ValueError(f"more than {MOST_WORKERS:,} workers: divide the anchor's events over several groups")


def _topic_partitions(load: Load, costs: Costs, workers: int) -> int:
    hottest = max(_business_cores(load, costs), _wallet_cores(costs, load.largest_wallet_per_second))
    needed = _needed_partitions(hottest)
    partitions = max(PREFERRED_PARTITIONS, needed)
    while partitions // 2 >= needed and load.destinations * partitions / workers > CHEAP_PARTITIONS:
        partitions //= 2
    return partitions


def _needed_partitions(cores: float) -> int:
    """One while one worker does it, else twice as many as workers, and a power of two."""
    if cores <= TARGET_UTILISATION:
        return 1
    return 1 << (2 * math.ceil(cores / TARGET_UTILISATION) - 1).bit_length()


def _memory(shape: _Shape, max_in_flight: int) -> tuple[int, Memory]:
    """``delivery.max_waiting`` so that all destinations may be down at once, where that is possible."""
    load, by_hand = shape.load, shape.costs.by_hand
    idle = (
        shape.costs.benchmark.idle_mb
        + (
            load.destinations * by_hand.destination_idle_bytes
            + shape.per_worker * by_hand.partition_idle_bytes
        )
        / _MB
    )
    each_event = load.event_bytes + by_hand.waiting_event_overhead_bytes
    engines = min(load.destinations, shape.per_worker)  # those with a partition on this worker
    missed = load.copies_per_second * load.outage_hours * 3600 / load.destinations * shape.busiest_share
    fetched_mb = (
        min(math.ceil(shape.partitions / shape.workers) * FETCHED_BYTES, missed * shape.record_bytes) / _MB
    )
    room = (WORKER_MEMORY_MB - idle) / engines - fetched_mb
    waiting = max(min(DEFAULT_WAITING, int(room * _MB / each_event) // 10 * 10), max_in_flight)
    each_down = min(waiting, missed) * each_event / _MB + fetched_mb
    return waiting, Memory(idle, each_down, idle + engines * each_down)


def _kafka(shape: _Shape) -> Kafka:
    load, by_hand = shape.load, shape.costs.by_hand
    source = load.events_per_second * load.event_bytes
    journal = load.copies_per_second * 2 * by_hand.journal_entry_bytes
    written = load.copies_per_second * shape.record_bytes + journal
    partitions = (
        load.destinations * shape.partitions + shape.source_partitions + SINGLE_TOPICS + JOURNAL_PARTITIONS
    )
    replicas = partitions * load.replication
    per_second = (source + written) * load.replication
    readers = shape.group.readers(GROUP_RECORD_BYTES)
    routed = 1 / shape.source_partitions / shape.partitions * PRODUCE_SECONDS
    return Kafka(
        source_mb_per_second=source / _MB,
        written_mb_per_second=written / _MB,
        read_mb_per_second=shape.read_bytes_per_second / _MB,
        replicated_mb_per_second=per_second / _MB,
        disk_gb=per_second * 3600 * load.outage_hours / 1e9,
        disk_gb_per_day=written * load.replication * 86_400 / 1e9,
        partitions=partitions,
        replicas=replicas,
        brokers=max(load.replication, math.ceil(replicas / REPLICAS_PER_BROKER)),
        group_record_bytes=shape.group.record_bytes(readers),
        workers_per_topic=readers,
        records_per_batch_business=1 + load.events_per_second * load.business_server * routed,
        records_per_batch_wallet=1 + load.wallet_events_per_second / max(1, load.wallets) * routed,
    )


def _latency(shape: _Shape) -> Latency:
    """Two hops; where fetches are apart, each waits half that time typically and all of it at most."""
    quiet = shape.costs.benchmark.quiet_p50_ms
    return Latency(shape.per_worker, shape.pace, quiet + shape.pace.apart, quiet + 2 * shape.pace.apart)


def _limits(shape: _Shape, max_in_flight: int, kafka: Kafka) -> tuple[Limit, ...]:
    load, cores = shape.load, shape.cores
    rate = load.events_per_second
    latency = load.latency_ms / 1000
    found: list[Limit] = []

    def add(what: str, headroom: float, where: Callable[[float], str]) -> None:
        found.append(Limit(what, where(headroom), headroom))

    def events(headroom: float) -> str:
        return f"{rate * headroom:,.0f} events/s"

    def destinations(headroom: float) -> str:
        return f"{load.destinations * headroom:,.0f} destinations"

    add("CPU of the busiest worker", 1 / cores.busiest, events)
    add("routing: partitions of TRANSACTION", shape.source_partitions / cores.routing, events)
    if load.business_server and latency:
        add(
            "in flight to the business server", max_in_flight / (rate * latency * shape.busiest_share), events
        )
    if load.largest_wallet_per_second and latency:
        in_flight = load.largest_wallet_per_second * latency * shape.busiest_share
        add("in flight to the largest wallet", max_in_flight / in_flight, events)
    largest = _wallet_cores(shape.costs, load.largest_wallet_per_second)
    hottest = max(_business_cores(load, shape.costs), largest)
    add("partitions of the largest destination", shape.partitions / hottest, events)
    add("the group's record in Kafka", GROUP_RECORD_BYTES / shape.group.record_bytes(1), destinations)
    add("replicas of a Kafka cluster", REPLICAS_PER_CLUSTER / kafka.replicas, destinations)
    return tuple(sorted(found, key=lambda limit: limit.headroom))
