"""The partitions that are ours at present, each with its progress: what router and engines have in common."""

from __future__ import annotations

from typing import TypeAlias

import structlog
from typing_extensions import assert_never

from eventproc.delivery.read_positions import Expired, Gap, Step, Truncated
from eventproc.records import Source
from eventproc.watermark import CommitPoint, Lost, MetadataError, PartitionProgress

log = structlog.stdlib.get_logger("eventproc.delivery")

Partition: TypeAlias = tuple[str, int]
"""Topic and partition number."""


class AssignedPartitions(dict[Partition, PartitionProgress]):
    """Partition -> progress; empty between two assignments.

    ``expired`` counts the offsets that Kafka deleted before they were done, since this worker started.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expired = 0
        self._changed: set[Partition] = set()
        """Where there may be something to commit, and until the broker has taken all of it."""

    def assign(self, partition: Partition, committed: int | None, metadata: str) -> bool:
        """A partition is ours from ``committed`` on; False, and nothing changes, for one that we have."""
        if partition in self:
            return False
        try:
            progress = PartitionProgress(committed, metadata)
        except MetadataError as error:
            log.warning(
                "commit_metadata.ignored", topic=partition[0], partition=partition[1], problem=str(error)
            )
            progress = PartitionProgress(committed)
        self[partition] = progress
        self._changed.add(partition)
        return True

    def offer(
        self, partition: Partition, offset: int, source: Source | None, *, exempt: bool = False
    ) -> bool | None:
        """Whether a record that has come is to be worked on; None when its partition is not ours."""
        if (progress := self.get(partition)) is None:
            return None
        if progress.offer(offset, source, exempt=exempt):
            return True
        self._changed.add(partition)
        return False

    def step(self, partition: Partition, step: Step) -> None:
        """Reading has moved without a record."""
        if (progress := self.get(partition)) is None:
            return
        match step:
            case Gap(start, end):
                if not progress.pass_over(start, end):
                    return
            case Expired(position, begin):
                self._report_lost(partition, begin, progress.expire(position, begin))
            case Truncated(position, begin, end):
                progress.restart(begin)
                log.warning(
                    "partition.truncated",
                    topic=partition[0],
                    partition=partition[1],
                    position=position,
                    end=end,
                    read_again_from=begin,
                    hint="find out what truncated or deleted it: an unclean leader election, or a person",
                )
            case other:
                assert_never(other)
        self._changed.add(partition)

    def _report_lost(self, partition: Partition, begin: int, lost: Lost) -> None:
        if lost.offsets:
            self.expired += lost.offsets
            log.error(
                "partition.expired",
                topic=partition[0],
                partition=partition[1],
                lost=lost.offsets,
                first_lost=lost.first,
                begins_at=begin,
                hint="Kafka deleted these before they were delivered: lengthen the topic's retention, "
                "and see EventprocEventsExpired in docs/operations.md",
            )

    def done(self, partition: Partition, offset: int) -> None:
        """The record is finished for good; no matter for a partition that is somebody else's by now."""
        if (progress := self.get(partition)) is not None:
            self._changed.add(partition)
            progress.done(offset)

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What to commit now, for the partitions where something changed."""
        if not self._changed:
            return {}
        points = {one: self[one].commit_point() for one in self._changed if one in self}
        found = {one: point for one, point in points.items() if point is not None}
        self._changed.intersection_update(found)
        return found

    def committed(self, partition: Partition, point: CommitPoint) -> None:
        """The broker has taken this commit."""
        if (progress := self.get(partition)) is not None and progress.committed(point):
            self._changed.discard(partition)
