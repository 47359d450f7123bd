"""What is left of a partition must be what a worker would still deliver after a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.group_progress import Remaining, remaining
from eventproc.watermark import PartitionProgress, encode_metadata


@given(
    begin=st.integers(0, 5),
    offered=st.integers(0, 30),
    unread=st.integers(0, 10),
    done=st.sets(st.integers(0, 34)),
)
def test_it_is_what_was_offered_and_not_done_and_what_nobody_has_read(
    begin: int, offered: int, unread: int, done: set[int]
) -> None:
    progress = PartitionProgress(begin)
    for offset in range(begin, begin + offered):
        progress.offer(offset, None)
    finished = {offset for offset in done if begin <= offset < begin + offered}
    for offset in finished:
        progress.done(offset)
    point = progress.commit_point()
    assert point is not None
    end = begin + offered + unread
    left = [offset for offset in range(begin, end) if offset not in finished]
    expected = Remaining(len(left), left[0] if left else None)
    assert remaining(begin, end, point.offset, point.metadata) == expected


@pytest.mark.parametrize("metadata", ["", "nonsense", encode_metadata(3, 9, [3], {})])
def test_without_metadata_of_this_very_offset_all_behind_the_commit_is_left(metadata: str) -> None:
    assert remaining(0, 10, 4, metadata) == Remaining(6, 4)


def test_a_group_that_never_committed_has_everything_before_it() -> None:
    assert remaining(2, 10, None, "") == Remaining(8, 2)


def test_what_retention_took_away_is_not_left() -> None:
    assert remaining(6, 10, 2, "") == Remaining(4, 6)
    assert remaining(6, 10, 2, encode_metadata(2, 8, [2, 7], {})) == Remaining(3, 7)


def test_a_partition_that_was_cut_back_is_read_from_its_beginning() -> None:
    assert remaining(0, 4, 9, encode_metadata(9, 12, [9], {})) == Remaining(4, 0)


def test_an_end_reported_too_low_is_no_backlog() -> None:
    """The embedded broker names where its last batch starts, and keeps no metadata."""
    assert remaining(0, 7, 9, "") == Remaining(0, None)


def test_metadata_that_was_cut_off_claims_too_much_rather_than_too_little() -> None:
    step = 1000
    open_offsets = list(range(0, 5_000_000, step))
    metadata = encode_metadata(0, 5_000_000, open_offsets, {})
    left = remaining(0, 5_000_000, 0, metadata)
    assert left.first_offset == 0
    assert len(open_offsets) < left.count < 5_000_000
