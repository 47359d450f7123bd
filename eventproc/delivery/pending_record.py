"""A source record whose copies the router has handed on and Kafka has not all acknowledged."""

from __future__ import annotations

from dataclasses import dataclass

from eventproc.delivery.partitions import Partition


@dataclass(slots=True, eq=False)
class PendingRecord:
    """``left`` copies are not acknowledged; all of them together have values of ``copied_bytes``."""

    partition: Partition
    offset: int
    value_bytes: int
    copied_bytes: int
    left: int
