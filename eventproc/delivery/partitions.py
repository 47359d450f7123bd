"""The partitions that are ours at present, each with its progress: what router and engines have in common."""

from __future__ import annotations

from typing import TypeAlias

import structlog

from eventproc.watermark import CommitPoint, MetadataError, PartitionProgress

log = structlog.stdlib.get_logger("eventproc.delivery")

Partition: TypeAlias = tuple[str, int]
"""Topic and partition number."""


class AssignedPartitions(dict[Partition, PartitionProgress]):
    """Partition -> progress; empty between two assignments."""

    _may_have_changed = True
    """A worker asks each of a thousand destinations ten times a second, and most have had nothing."""

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
        self._may_have_changed = True
        return True

    def of_arrival(self, partition: Partition) -> PartitionProgress | None:
        """Where a record that has come is to be offered; None when its partition is not ours."""
        self._may_have_changed = True
        return self.get(partition)

    def done(self, partition: Partition, offset: int) -> None:
        """The record is finished for good; no matter for a partition that is somebody else's by now."""
        if (progress := self.get(partition)) is not None:
            self._may_have_changed = True
            progress.done(offset)

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What to commit now, for the partitions where something changed."""
        if not self._may_have_changed:
            return {}
        points = {partition: progress.commit_point() for partition, progress in self.items()}
        found = {partition: point for partition, point in points.items() if point is not None}
        self._may_have_changed = bool(found)  # until the broker has taken everything
        return found

    def committed(self, partition: Partition, point: CommitPoint) -> None:
        """The broker has taken this commit."""
        if (progress := self.get(partition)) is not None:
            progress.committed(point)
