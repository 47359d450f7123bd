"""Where to begin in the anchor's topic, so that nothing is left out of what others had not delivered yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eventproc.errors import EventprocError

BUSINESS_GROUPS: Final = ("group-callback-api", "group-callback-api-")
CLIENT_GROUP: Final = "group-client-status-callback-"
"""As the Anchor Platform names them: ``group-`` and the processor's name (AP ``KafkaSession``,
``EventProcessorManager``); a client's has its domains or signing keys behind it, with commas between."""


class NoGroupError(EventprocError):
    """A group of the Anchor Platform is not there."""


@dataclass(frozen=True, slots=True)
class GroupPosition:
    """Another consumer group: its next offset in each partition, and its members, None when not told."""

    name: str
    offsets: Mapping[int, int]
    members: int | None = 0


@dataclass(frozen=True, slots=True)
class GroupShare:
    """What beginning at the common place means for those that one group delivered to."""

    name: str
    twice: int
    members: int | None


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """``starts`` has the next offset of each partition; ``own`` where our group stands already.

    ``expired`` counts records that a group had not read and that are no longer there.
    """

    starts: Mapping[int, int]
    own: Mapping[int, int]
    groups: Sequence[GroupShare]
    expired: int


def plan_import(
    groups: Sequence[GroupPosition], begins: Mapping[int, int], own: Mapping[int, int]
) -> ImportPlan:
    """Begin in each partition where the group that is furthest behind is.

    Args:
        groups: those to take over from. One without an offset in a partition would read it from its
            beginning, as the Anchor Platform's consumers do.
        begins: the first offset there is, of every partition.
        own: our group's offsets.
    """
    starts, expired = {}, 0
    for partition, begin in begins.items():
        lowest = min(group.offsets.get(partition, begin) for group in groups)
        starts[partition] = max(begin, lowest)
        expired += max(0, begin - lowest)
    shares = [
        GroupShare(
            group.name,
            sum(max(0, group.offsets.get(one, begins[one]) - start) for one, start in starts.items()),
            group.members,
        )
        for group in groups
    ]
    return ImportPlan(starts, own, shares, expired)


def platform_group(wanted: str | frozenset[str], known: Iterable[GroupPosition]) -> GroupPosition | None:
    """The group of the business server (``callback-api``) or of a client, by its domains or signing keys.

    Earlier versions name the business server's otherwise, and it stays behind when they are replaced: of two,
    the one that somebody is in, else the one that has read more.
    """
    fitting = [group for group in known if _fits(wanted, group.name)]
    return max(fitting, key=lambda one: (bool(one.members), sum(one.offsets.values())), default=None)


def _fits(wanted: str | frozenset[str], name: str) -> bool:
    if isinstance(wanted, str):
        return name in BUSINESS_GROUPS
    return name.startswith(CLIENT_GROUP) and frozenset(name.removeprefix(CLIENT_GROUP).split(",")) == wanted
