"""The partitions that are ours at present, each with its progress: what router and engines have in common."""

from __future__ import annotations

from typing import TypeAlias

import structlog

from eventproc.records import Source
from eventproc.watermark import CommitPoint, MetadataError, PartitionProgress

log = structlog.stdlib.get_logger("eventproc.delivery")

Partition: TypeAlias = tuple[str, int]
"""Topic and partition number."""


class AssignedPartitions(dict[Partition, PartitionProgress]):
    """Partition -> progress; empty between two assignments."""

    def __init__(self) -> None:
        super().__init__()
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
