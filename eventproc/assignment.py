"""Which member of the consumer group reads which partitions, and how large the group's record becomes.

Each topic goes to the members that have the fewest partitions so far, and is divided as evenly as it can be:
of each topic and of all together, nobody has more than one partition above anybody else. Same members and
topics, same result. Nobody keeps partitions for having had them: the group's protocol takes everything away
in each rebalance anyhow, and to say who had what would make the record larger.

Kafka keeps a group's members, their subscriptions and what each of them has in one record. When that is
larger than ``max.message.bytes`` of ``__consumer_offsets``, nobody gets anything, and the group stands still.
Each member that reads a topic has its name written once more. So where not all fits, a topic is shared by
fewer members: that costs a destination some of its workers, and no other promise.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

RECORD_BYTES: Final = 256
"""The record's own: Kafka's framing, the group's name, its state."""
MEMBER_BYTES: Final = 128
"""A member's own, beside its id; the client's or the fixed name in the id comes once more."""
FRAME_BYTES: Final = 10
"""Of a subscription and of an assignment: version, count, and the length of what else there is."""
NAME_BYTES: Final = 2
"""The length of a topic's name, before it."""
COUNT_BYTES: Final = 4
PARTITION_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who has what: member, topic, partitions.

    ``most_readers`` is how many members share a topic at most; ``record_bytes`` is an upper bound.
    """

    shares: dict[str, dict[str, list[int]]]
    most_readers: int
    record_bytes: int


def share_out(
    topics: Mapping[str, Collection[int]],
    members: Mapping[str, Collection[str]],
    max_bytes: int,
    wide: Collection[str] = (),
) -> Sharing:
    """Give each partition to one of the members that want its topic.

    Args:
        topics: each topic's partitions.
        members: each member's topics. What is not among ``topics`` is left out.
        max_bytes: of the group's record. Kept if it can be kept at all.
        wide: topics that are always shared by as many as possible.
    """
    subscribers: dict[str, list[str]] = {topic: [] for topic in topics}
    for member in sorted(members):
        for topic in set(members[member]).intersection(topics):
            subscribers[topic].append(member)

    def readers(topic: str, most: int) -> int:
        wanting = len(subscribers[topic])
        return min(wanting if topic in wide else most, wanting, len(topics[topic]))

    own = RECORD_BYTES + sum(member_bytes(member, names) for member, names in members.items())

    def record_bytes(most: int) -> int:
        assigned = (
            assigned_bytes(len(name), len(found), readers(name, most)) for name, found in topics.items()
        )
        return own + sum(assigned)

    most = max(1, bisect_right(range(1, len(members) + 1), max_bytes, key=record_bytes))
    shares: dict[str, dict[str, list[int]]] = {member: {} for member in members}
    load = dict.fromkeys(members, 0)
    for topic in sorted(topics):
        partitions, count = sorted(topics[topic]), readers(topic, most)
        # Where it does not come out even, the first of them, who have least, get one more.
        for place, member in enumerate(heapq.nsmallest(count, subscribers[topic], key=load.__getitem__)):
            mine = shares[member][topic] = partitions[place::count]
            load[member] += len(mine)
    return Sharing(shares, most, record_bytes(most))


def member_bytes(member: str, topics: Collection[str]) -> int:
    """What a member adds to the record before it has any partitions: the names of its topics, above all."""
    return MEMBER_BYTES + 2 * len(member) + 2 * FRAME_BYTES + sum(NAME_BYTES + len(topic) for topic in topics)


def assigned_bytes(name_bytes: int, partitions: int, readers: int) -> int:
    """What a topic adds to the record that so many members share."""
    return readers * (NAME_BYTES + name_bytes + COUNT_BYTES) + partitions * PARTITION_BYTES


@dataclass(frozen=True, slots=True)
class AlikeTopics:
    """The same for a group on paper: each topic is like the next, and each member wants all."""

    topics: int
    partitions: int
    members: int
    name_bytes: int

    def record_bytes(self, readers: int) -> int:
        """The group's record where so many members share each topic."""
        wanted = self.members * (NAME_BYTES + self.name_bytes)
        return self.topics * (wanted + assigned_bytes(self.name_bytes, self.partitions, readers))

    def readers(self, max_bytes: int) -> int:
        """How many members share a topic, as ``share_out`` decides it."""
        widest = range(1, min(self.partitions, self.members) + 1)
        return max(1, bisect_right(widest, max_bytes, key=self.record_bytes))
