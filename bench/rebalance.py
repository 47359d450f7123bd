"""How long a rebalance holds a group up, and how large its record is, by topics, partitions and workers.

``measure_assignment`` runs Faust's own assignor, the part that grows fastest; ``rebalance`` puts it together
with what else a rebalance waits for. Its rates were measured by ``measure_assignment`` on the machine of
``docs/performance.md``; another machine has others.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Any

import faust
from faust.assignor.partition_assignor import PartitionAssignor

from eventproc.cli.plan import packaged_costs

LEADER_US_PER_TOPIC_AND_WORKER = 27.0
"""CPU of the worker that assigns: each member gets the whole distribution, as JSON, packed. Measured."""
MEMBER_US_PER_TOPIC = 20.0
"""CPU of each worker that reads its assignment. Measured, 8 to 42."""
BYTES_PER_SECOND = 100e6
"""Between broker and workers. Assumed."""
OFFSETS_PER_SECOND = 50_000.0
"""Committed offsets read back and sought, a worker. Assumed."""
HEARTBEAT_SECONDS = 3.0
DRAIN_SECONDS = 0.05
SEED = 1


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: so many topics of so many partitions, shared by so many workers."""

    topics: int
    partitions: int
    workers: int


@dataclass(frozen=True, slots=True)
class Pause:
    """What one rebalance takes, in seconds; ``record_bytes`` is the group's record in Kafka."""

    noticed: float
    assigned: float
    resumed: float
    record_bytes: int

    @property
    def seconds(self) -> float:
        """All of it: from the first worker that stops to the last that goes on."""
        return self.noticed + self.assigned + self.resumed


def rebalance(group: Group, seed: int = SEED) -> Pause:
    """Every worker hears of it at its next heartbeat and drains; then all wait for the leader."""
    draw = random.Random(seed)
    heard = [draw.uniform(0, HEARTBEAT_SECONDS) for _ in range(group.workers)]
    by_hand = packaged_costs().by_hand
    each = by_hand.subscription_bytes_per_topic + by_hand.assignment_bytes_per_topic
    record = each * group.topics * group.workers
    leader = group.topics * group.workers * LEADER_US_PER_TOPIC_AND_WORKER / 1e6
    per_worker = group.topics * group.partitions / group.workers
    member = group.topics * MEMBER_US_PER_TOPIC / 1e6 + per_worker / OFFSETS_PER_SECOND
    return Pause(
        max(heard) - min(heard) + DRAIN_SECONDS, leader + 2 * record / BYTES_PER_SECOND, member, record
    )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What Faust's assignor took for a group, in seconds of CPU, and the bytes of the group's record."""

    leader_seconds: float
    member_seconds: float
    record_bytes: int


class _Cluster:
    """As much of aiokafka's metadata as the assignor asks for."""

    def __init__(self, group: Group) -> None:
        self._topics = {
            f"eventproc.client.wallet-{number:06}.sep24": set(range(group.partitions))
            for number in range(group.topics)
        }

    def topics(self) -> set[str]:
        return set(self._topics)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._topics.get(topic)


def measure_assignment(group: Group) -> Assignment:
    """Assign twice: at first nobody has anything, then everybody has their share, which is the usual case."""
    app = faust.App("rebalance", broker="kafka://localhost")
    cluster = _Cluster(group)
    leader: Any = PartitionAssignor(app)
    first = leader.metadata(cluster.topics())
    assign = leader._perform_assignment  # noqa: SLF001 - what Kafka's protocol calls in the end
    assigned = assign(cluster, {f"worker-{n:032}": first for n in range(group.workers)})
    members = {}
    began = time.process_time()
    for name, assignment in assigned.items():
        member: Any = PartitionAssignor(app)
        member.on_assignment(assignment)
        members[name] = member.metadata(cluster.topics())
    read = time.process_time() - began
    began = time.process_time()
    again = assign(cluster, members)
    took = time.process_time() - began
    record = sum(len(one.encode()) for one in (*members.values(), *again.values()))
    return Assignment(took, read / group.workers, record)
