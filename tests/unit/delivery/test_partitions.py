from __future__ import annotations

from eventproc.delivery.partitions import AssignedPartitions
from eventproc.watermark import encode_metadata

PARTITION = ("topic", 3)


def test_what_is_to_be_committed_is_offered_until_it_is_taken_and_then_no_more() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, "")
    assert partitions.offer(PARTITION, 7, None)
    partitions.done(PARTITION, 7)
    point = partitions.commit_points()[PARTITION]
    assert partitions.commit_points() == {PARTITION: point}
    partitions.committed(PARTITION, point)
    assert partitions.commit_points() == {}
    assert partitions.commit_points() == {}


def test_every_change_is_seen_after_a_time_without_any() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, "")
    partitions.committed(PARTITION, partitions.commit_points()[PARTITION])
    assert partitions.commit_points() == {}
    assert partitions.offer(PARTITION, 7, None)
    assert partitions.commit_points() == {}, "what has only come is read again from the commit there is"
    partitions.done(PARTITION, 7)
    assert partitions.commit_points()[PARTITION].offset == 8
    other = ("topic", 4)
    partitions.committed(PARTITION, partitions.commit_points()[PARTITION])
    partitions.commit_points()
    partitions.assign(other, 1, "")
    assert set(partitions.commit_points()) == {other}


def test_what_is_skipped_counts_as_done() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, encode_metadata(7, 9, [], {}))
    partitions.committed(PARTITION, partitions.commit_points()[PARTITION])
    assert partitions.offer(PARTITION, 7, None) is False
    assert partitions.commit_points()[PARTITION].offset == 8


def test_what_is_done_while_a_commit_is_under_way_is_offered_after_it() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, "")
    for offset in (7, 8):
        assert partitions.offer(PARTITION, offset, None)
    partitions.done(PARTITION, 7)
    point = partitions.commit_points()[PARTITION]
    partitions.done(PARTITION, 8)
    partitions.committed(PARTITION, point)
    assert partitions.commit_points()[PARTITION].offset == 9


def test_partitions_that_were_let_go_of_are_nobodys() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, "")
    partitions.clear()
    assert partitions.offer(PARTITION, 7, None) is None
    assert partitions.commit_points() == {}
    partitions.assign(PARTITION, 9, "")
    assert partitions.commit_points()[PARTITION].offset == 9
