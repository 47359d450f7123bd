"""How long a rebalance holds a group up, and how large its record is, by topics, partitions and workers.

``measure_assignment`` runs an assignor between the bytes that arrive and those that go out, as aiokafka does;
``rebalance`` puts it together with what else a rebalance waits for. Its rates were measured by
``measure_assignment`` on the machine of ``docs/performance.md``; another machine has others.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocol
from faust.assignor.partition_assignor import PartitionAssignor

from eventproc.assignment import AlikeTopics
from eventproc.capacity import GROUP_RECORD_BYTES
from eventproc.cli.plan import packaged_costs
from eventproc.delivery.assignor import Assignor

LEADER_US_PER_TOPIC_AND_WORKER = 3.0
"""CPU of the worker that assigns, with what it reads and writes. Measured, 2.6 to 5."""
MEMBER_US_PER_TOPIC = 5.0
"""CPU of each worker that tells what it wants and reads what it has. Measured, 1 to 6."""
BYTES_PER_SECOND = 100e6
"""Between broker and workers. Assumed."""
OFFSETS_PER_SECOND = 50_000.0
"""Committed offsets read back and sought, a worker. Assumed."""
HEARTBEAT_SECONDS = 3.0
DRAIN_SECONDS = 0.05
SEED = 1

ASSIGNORS: Mapping[str, Callable[[Any], Any]] = {
    "ours": Assignor,
    "aiokafka's round robin": lambda _app: RoundRobinPartitionAssignor,
    "Faust's": PartitionAssignor,
}
"""Ours, and those that it stands in for."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: so many topics of so many partitions, shared by so many workers."""

    topics: int
    partitions: int
    workers: int


@dataclass(frozen=True, slots=True)
class Pause:
    """What one rebalance takes, in seconds.

    ``record_bytes`` is the group's record in Kafka, and ``readers`` how many workers share a topic by it.
    """

    noticed: float
    assigned: float
    resumed: float
    record_bytes: int
    readers: int

    @property
    def seconds(self) -> float:
        """All of it: from the first worker that stops to the last that goes on."""
        return self.noticed + self.assigned + self.resumed


def rebalance(group: Group, seed: int = SEED) -> Pause:
    """Every worker hears of it at its next heartbeat and drains; then all wait for the leader."""
    draw = random.Random(seed)
    heard = [draw.uniform(0, HEARTBEAT_SECONDS) for _ in range(group.workers)]
    name_bytes = packaged_costs().by_hand.topic_name_bytes
    paper = AlikeTopics(group.topics, group.partitions, group.workers, name_bytes)
    readers = paper.readers(GROUP_RECORD_BYTES)
    record = paper.record_bytes(readers)
    partitions = group.topics * group.partitions
    leader = group.topics * group.workers * LEADER_US_PER_TOPIC_AND_WORKER / 1e6
    member = group.topics * MEMBER_US_PER_TOPIC / 1e6 + partitions / group.workers / OFFSETS_PER_SECOND
    return Pause(
        max(heard) - min(heard) + DRAIN_SECONDS,
        leader + 2 * record / BYTES_PER_SECOND,
        member,
        record,
        readers,
    )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an assignor took for a group, in seconds of CPU, and the bytes of the group's record."""

    leader_seconds: float
    member_seconds: float
    record_bytes: int


class _Cluster:
    """As much of aiokafka's metadata as an assignor asks for."""

    def __init__(self, group: Group) -> None:
        self.topics = {
            f"eventproc.client.wallet-{number:06}.sep24": set(range(group.partitions))
            for number in range(group.topics)
        }

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.topics.get(topic)


def measure_assignment(group: Group, assignor: str = "ours") -> Assignment:
    """Assign twice: at first nobody has anything, then everybody has their share, which is the usual case."""
    app = faust.App("rebalance", broker="kafka://localhost")
    cluster = _Cluster(group)
    members = {f"worker-{n:032}": ASSIGNORS[assignor](app) for n in range(group.workers)}
    leader = next(iter(members.values()))
    assigned: dict[str, bytes] = {}
    for _ in range(2):
        began = time.process_time()
        told = {}
        for name, member in members.items():
            if assigned:
                member.on_assignment(ConsumerProtocol.ASSIGNMENT.decode(assigned[name]))
            told[name] = member.metadata(set(cluster.topics)).encode()
        read = time.process_time() - began
        began = time.process_time()
        heard = {name: ConsumerProtocol.METADATA.decode(metadata) for name, metadata in told.items()}
        assigned = {name: share.encode() for name, share in leader.assign(cluster, heard).items()}
        took = time.process_time() - began
    record = sum(map(len, (*told.values(), *assigned.values())))
    return Assignment(took, read / group.workers, record)
