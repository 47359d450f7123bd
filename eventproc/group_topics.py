"""Which topics a member of our consumer group may read, and what another's subscription says.

A second deployment with another ``topics.prefix``, or any other consumer, that uses our group is given a part
of the source's partitions by Kafka, and the events in these never reach our receivers. Members of one
deployment may differ in clients, while a configuration is rolled out; they never differ in source and prefix.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from settings.topic_names import is_destination_topic

FOREIGN_HINT: Final = (
    "it takes a part of the events away: give one of the two another topics.consumer_group, "
    "or the same topics.source and topics.prefix"
)
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class GroupTopics:
    """What workers of one deployment read."""

    source: str
    prefix: str

    def strange_in(self, subscribed: Collection[str]) -> str | None:
        """What a worker of ours would not subscribe to, in words; None for one of ours."""
        others = sorted(
            topic
            for topic in subscribed
            if topic != self.source and not is_destination_topic(self.prefix, topic)
        )
        if others:
            named = ", ".join(others[:_NAMED])
            return f"reads {named}{f' and {len(others) - _NAMED} more' if others[_NAMED:] else ''}"
        return None if self.source in subscribed else f"does not read {self.source}"
