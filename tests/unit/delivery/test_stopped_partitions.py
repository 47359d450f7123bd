"""A partition that is stopped at an unreadable batch, as the watch of progress sees it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from eventproc.delivery.record_batches import FetchedRecords, UnreadableBatch
from eventproc.delivery.stopped_partitions import StoppedPartitions
from eventproc.delivery.watchdog import reading_pulse
from eventproc.watermark import PartitionProgress

STOPPED, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


def stopped_at(offset: int) -> StoppedPartitions:
    fetched: Any = FetchedRecords.__new__(FetchedRecords)
    fetched._partition_records = SimpleNamespace(
        unreadable=UnreadableBatch(offset, offset + 3, "its checksum is wrong", b"x")
    )
    consumer: Any = SimpleNamespace(_fetcher=SimpleNamespace(_records={STOPPED: fetched}))
    found = StoppedPartitions()
    found.look(consumer)
    assert found.current[STOPPED].offset == offset
    return found


@pytest.mark.parametrize(
    "batch_offset", [5, 6, 9], ids=["at the position", "behind a marker", "behind a gap"]
)
def test_a_stopped_partition_is_not_expected_to_be_read(batch_offset: int) -> None:
    ends = {STOPPED: 20, OTHER: 5}
    readable_end = stopped_at(batch_offset).readable_end(ends.get)
    positions = {STOPPED: PartitionProgress(5), OTHER: PartitionProgress(5)}
    assert not reading_pulse([positions], readable_end).should_move
    ends[OTHER] = 6
    assert reading_pulse([positions], readable_end).should_move, "the others still are"
