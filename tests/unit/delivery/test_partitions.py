from __future__ import annotations

from eventproc.delivery.partitions import AssignedPartitions

PARTITION = ("topic", 3)


def test_what_is_to_be_committed_is_offered_until_it_is_taken_and_then_no_more() -> None:
    partitions = AssignedPartitions()
    partitions.assign(PARTITION, 7, "")
    progress = partitions.of_arrival(PARTITION)
    assert progress is not None
    progress.offer(7, None)
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
    progress = partitions.of_arrival(PARTITION)
    assert progress is not None
    progress.offer(7, None)
    assert partitions.commit_points() == {}, "what has only come is read again from the commit there is"
    partitions.done(PARTITION, 7)
    assert partitions.commit_points()[PARTITION].offset == 8
    other = ("topic", 4)
    partitions.committed(PARTITION, partitions.commit_points()[PARTITION])
    partitions.commit_points()
    partitions.assign(other, 1, "")
    assert set(partitions.commit_points()) == {other}
