"""What Faust (0.15.3) and aiokafka (0.14) say in the group's protocol, where partitions are shared out.

``PartitionAssignor``
    Faust's own assigns as its tables need it (four partitions to three workers as 2, 2, 0), and each member
    tells the leader all that it knows, as JSON: several times the names of all topics, which Kafka keeps in
    one record, up to 1 MB. Proof: tests/integration/test_many_topics.py.
``RoundRobinPartitionAssignor``
    aiokafka's, which Faust takes instead while there are no tables. It looks for each partition's topic in a
    list of all topics: 2.3 s for 5,000 topics of 8 partitions and 8 workers, 0.16 s here. It does not mind
    how large the group's record becomes, and Faust's page ``/stats/assignment/`` does not hear of it. Proof:
    tests/integration/test_many_topics.py and tests/unit/delivery/test_assignor.py.

Name and form are aiokafka's, so that workers of older versions are in the same group: during a rolling update
either kind may lead, and each understands the other.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, ClassVar

import structlog
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor import PartitionAssignor
from faust.assignor.client_assignment import ClientAssignment

from eventproc.assignment import Sharing, share_out
from eventproc.group_topics import FOREIGN_HINT, GroupTopics

log = structlog.stdlib.get_logger("eventproc.delivery")


def subscription_of(metadata: bytes) -> frozenset[str] | None:
    """The topics that a member of a group has subscribed to; None when these are not a consumer's words."""
    try:
        return frozenset(ConsumerProtocolMemberMetadata.decode(metadata).subscription)
    except (ValueError, struct.error, TypeError):
        return None


class Assignor(PartitionAssignor):
    """Shares partitions out as ``eventproc/assignment.py`` says. Used in the consumer's thread."""

    record_max_bytes: ClassVar[int] = 1_048_588
    wide_topics: ClassVar[frozenset[str]] = frozenset()
    ours: ClassVar[GroupTopics | None] = None

    @property
    def name(self) -> str:
        """What members have to agree on: aiokafka's, see above."""
        return "roundrobin"

    @property
    def version(self) -> int:
        """Of the form, not of the contents."""
        return 0

    def metadata(self, topics: set[str]) -> ConsumerProtocolMemberMetadata:
        """What this member tells the leader: the topics by name, and nothing else.

        Kafka reads them, too: it lets offsets expire of topics that nobody in the group names.
        """
        return ConsumerProtocolMemberMetadata(self.version, sorted(topics), b"")

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """What this member has got, for Faust's page."""
        actives = {topic: list(partitions) for topic, partitions in assignment.assignment}
        self._assignment = ClientAssignment(actives=actives, standbys={})
        self._active_tps = self._assignment.active_tps

    def _perform_assignment(
        self, cluster: Any, member_metadata: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        members = {member: frozenset(told.subscription) for member, told in member_metadata.items()}
        for member, subscribed in members.items():
            if self.ours is not None and (strange := self.ours.strange_in(subscribed)):
                log.warning("group.foreign_member", member=member, problem=strange, hint=FOREIGN_HINT)
        topics = {
            topic: cluster.partitions_for_topic(topic) or () for topic in frozenset().union(*members.values())
        }
        if missing := sorted(topic for topic, partitions in topics.items() if not partitions):
            log.warning("group.topics_unknown", topics=missing)
        sharing = share_out(topics, members, self.record_max_bytes, self.wide_topics)
        self._warn_of_the_record(sharing, len(topics))
        return {
            member: ConsumerProtocolMemberAssignment(self.version, sorted(share.items()), b"")
            for member, share in sharing.shares.items()
        }

    def _warn_of_the_record(self, sharing: Sharing, topics: int) -> None:
        size = {"record_bytes": sharing.record_bytes, "max_bytes": self.record_max_bytes}
        group = {"topics": topics, "workers": len(sharing.shares)}
        if sharing.record_bytes > self.record_max_bytes:
            log.error("group.record_too_large", **size, **group)
        elif sharing.most_readers < len(sharing.shares):
            log.warning("group.topics_narrowed", workers_each=sharing.most_readers, **size, **group)
