"""Step 10: only whole prefixes are committed, and the metadata brings back the rest."""

from __future__ import annotations

import base64
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.records import Source
from eventproc.watermark import (
    LATEST_MS,
    MAX_METADATA_BYTES,
    MetadataError,
    PartitionProgress,
    SourceKey,
    SourceMark,
    decode_metadata,
    encode_metadata,
)


def source(offset: int, timestamp_ms: int | None = None, partition: int = 0) -> Source:
    return Source("TRANSACTION", partition, offset, 1000 + offset if timestamp_ms is None else timestamp_ms)


def test_nothing_is_committed_before_the_first_record() -> None:
    assert PartitionProgress().commit_point() is None


def test_a_gap_of_one_at_the_head_holds_the_watermark() -> None:
    """Faust's own bookkeeping commits 6 here: acked {5}, 0 to 4 in flight (upstream 606, 312)."""
    progress = PartitionProgress()
    for offset in range(6):
        progress.offer(offset, None)
    progress.done(5)
    point = progress.commit_point()
    assert point is not None
    assert point.offset == 0
    for offset in range(1, 5):
        progress.done(offset)
    assert progress.watermark == 0
    progress.done(0)
    assert progress.watermark == 6


def test_an_unchanged_commit_point_is_not_given_again() -> None:
    progress = PartitionProgress(10)
    progress.offer(10, None)
    point = progress.commit_point()
    assert point is not None
    progress.committed(point)
    assert progress.commit_point() is None
    progress.done(10)
    assert progress.commit_point() is not None


def test_a_stuck_head_still_moves_the_metadata() -> None:
    progress = PartitionProgress(0)
    progress.offer(0, None)
    first = progress.commit_point()
    assert first is not None
    progress.committed(first)
    progress.offer(1, None)
    progress.done(1)
    second = progress.commit_point()
    assert second is not None
    assert second.offset == first.offset == 0
    assert second.metadata != first.metadata


def test_ten_thousand_done_behind_one_stuck_event_cost_a_few_bytes() -> None:
    progress = PartitionProgress(0)
    for offset in range(10_001):
        progress.offer(offset, source(offset))
        if offset:
            progress.done(offset)
    point = progress.commit_point()
    assert point is not None
    assert len(point.metadata) < 64
    restored = PartitionProgress(0, point.metadata)
    assert [o for o in range(10_001) if restored.offer(o, source(o))] == [0]


def test_a_routers_copy_is_skipped_and_a_redriven_one_is_not() -> None:
    progress = PartitionProgress(0)
    assert progress.offer(0, source(7))
    assert not progress.offer(1, source(7))
    assert not progress.offer(2, source(3))
    assert progress.offer(3, source(7), exempt=True)
    assert progress.offer(4, source(8))


def test_another_source_partition_is_counted_for_itself() -> None:
    progress = PartitionProgress(0)
    assert progress.offer(0, source(9, partition=0))
    assert progress.offer(1, source(2, partition=1))


def test_a_source_topic_made_anew_is_not_taken_for_a_replay() -> None:
    progress = PartitionProgress(0)
    assert progress.offer(0, source(500, timestamp_ms=10_000))
    assert progress.offer(1, source(0, timestamp_ms=10_001))
    assert progress.offer(2, source(1, timestamp_ms=10_002))


def test_an_open_event_is_never_taken_for_a_replay_after_a_restart() -> None:
    """Its own source offset is below the restored mark: the open set decides, not the mark."""
    progress = PartitionProgress(0)
    for offset in range(5):
        progress.offer(offset, source(offset))
    progress.done(4)
    point = progress.commit_point()
    assert point is not None
    restored = PartitionProgress(point.offset, point.metadata)
    assert [o for o in range(5) if restored.offer(o, source(o))] == [0, 1, 2, 3]
    assert not restored.offer(5, source(2)), "a copy beyond what was known is a replay"


def test_a_truncated_partition_delivers_what_was_open_and_what_is_new_and_nothing_else() -> None:
    """An unclean election took 3 to 5 away; since then a new record stands at 3."""
    progress = PartitionProgress(0)
    for offset in range(6):
        progress.offer(offset, source(offset))
        if offset != 1:
            progress.done(offset)
    point = progress.commit_point()
    assert point is not None
    again = PartitionProgress(point.offset, point.metadata)
    again.restart(0)
    assert [o for o in range(3) if again.offer(o, source(o))] == [1]
    assert again.offer(3, source(6))
    assert not again.offer(4, source(2))


def test_a_crash_while_reading_a_truncated_partition_again_loses_nothing_that_was_open() -> None:
    progress = PartitionProgress(0)
    for offset in range(6):
        progress.offer(offset, source(offset))
        if offset != 4:
            progress.done(offset)
    point = progress.commit_point()
    assert point is not None
    again = PartitionProgress(
        point.offset, encode_metadata(point.offset, 6, [4], decode_metadata(point.metadata).marks)
    )
    again.restart(0)
    assert not again.offer(0, source(0))
    halfway = again.commit_point()
    assert halfway is not None
    third = PartitionProgress(halfway.offset, halfway.metadata)
    assert third.offer(4, source(4))


def test_what_is_in_flight_when_its_partition_is_truncated_finishes_for_itself_alone() -> None:
    """Its offset may be another record's by now; that one's end must not be taken from it."""
    progress = PartitionProgress(0)
    assert all(progress.offer(offset, source(offset)) for offset in range(3))
    progress.restart(0)
    assert progress.watermark == 0
    assert progress.offer(0, source(7))
    progress.done(0)
    assert progress.watermark == 0, "the one from before has finished"
    progress.done(0)
    assert progress.watermark == 1


@pytest.mark.parametrize(
    ("next_offset", "gap", "after"),
    [
        (5, (5, 9), 9),
        (7, (5, 9), 9),
        (9, (5, 9), 9),
        (4, (5, 9), 4),
        (None, (None, 9), 9),
        (5, (None, 9), 9),
        (None, (5, 9), None),
    ],
    ids=["at", "inside", "behind", "a record is missing", "nothing read", "from the beginning", "dropped"],
)
def test_a_gap_counts_as_read_where_all_before_it_was_offered(
    next_offset: int | None, gap: tuple[int | None, int], after: int | None
) -> None:
    progress = PartitionProgress(next_offset)
    assert progress.pass_over(*gap) == (after != next_offset)
    assert progress.next_offset == progress.watermark == after
    point = progress.commit_point()
    assert (point is not None and point.offset == after) == (after is not None)


def test_what_expired_is_counted_without_what_was_done() -> None:
    progress = PartitionProgress(3, encode_metadata(3, 9, [3, 6, 8], {}))
    assert progress.expire(3, 8) == (2, 3)
    assert progress.offer(8, source(8)), "it was open, and is still there"
    assert progress.expire(9, 12) == (3, 9)
    assert progress.expire(12, 12) == (0, None)
    assert progress.watermark == 8, "what is in hand is not lost"


def test_what_expired_before_anything_was_read_is_counted_from_where_reading_was() -> None:
    assert PartitionProgress().expire(2, 10) == (8, 2)


def test_a_record_that_is_read_twice_is_worked_on_once() -> None:
    progress = PartitionProgress(0)
    assert [progress.offer(offset, None) for offset in (0, 1, 0, 1, 2)] == [True, True, False, False, True]
    progress.done(0)
    assert not progress.offer(0, None)


def test_metadata_that_earlier_releases_committed_is_read() -> None:
    """An upgrade restarts the workers, and what they had done must stay done."""
    text = "AUTP6AesAgMAAcUBAfis0ZEBA/CiBIDQlf+8MQ=="
    marks = {SourceKey(0x12345678, 3): SourceMark(70_000, 1_700_000_000_000)}
    assert encode_metadata(1000, 1300, [1000, 1002, 1200], marks) == text
    read = decode_metadata(text)
    assert (read.base, read.next, read.open, read.marks) == (1000, 1300, [1000, 1002, 1200], marks)


def test_the_limits_are_the_brokers_default_and_the_year_2100() -> None:
    assert MAX_METADATA_BYTES == 4096  # offset.metadata.max.bytes
    assert datetime(2100, 1, 1, tzinfo=timezone.utc).timestamp() * 1000 == LATEST_MS


@pytest.mark.parametrize(
    "text",
    ["free text", "AAAA", base64.b64encode(b"\x09\x00\x00\x01").decode(), base64.b64encode(b"\x01").decode()],
)
def test_metadata_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(MetadataError):
        PartitionProgress(5, text)


def test_metadata_for_another_offset_is_refused() -> None:
    """An operator has reset the group's offsets: what was done then says nothing."""
    with pytest.raises(MetadataError, match="offset 5"):
        PartitionProgress(4, encode_metadata(5, 9, [6], {}))


def test_one_damaged_character_is_noticed() -> None:
    text = encode_metadata(5, 900, [6, 70], {SourceKey(1, 0): SourceMark(44, 10**12)})
    raw = bytearray(base64.b64decode(text))
    raw[5] ^= 1
    with pytest.raises(MetadataError):
        decode_metadata(base64.b64encode(bytes(raw)).decode())


offsets = st.integers(min_value=0, max_value=2**40)


@given(
    base=offsets,
    steps=st.lists(st.integers(0, 3000), max_size=6000),
    beyond=st.integers(0, 10**6),
    marks=st.dictionaries(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 500)), st.tuples(offsets, offsets), max_size=200
    ),
)
def test_metadata_reads_back_within_its_limit_and_never_says_done_of_an_open_offset(
    base: int, steps: list[int], beyond: int, marks: dict[tuple[int, int], tuple[int, int]]
) -> None:
    open_offsets, position = [], base
    for step in steps:
        position += step
        open_offsets.append(position)
        position += 1
    done_until = position + beyond
    given_marks = {SourceKey(*k): SourceMark(*v) for k, v in marks.items()}
    text = encode_metadata(base, done_until, open_offsets, given_marks)
    assert len(text) <= MAX_METADATA_BYTES
    read = decode_metadata(text)
    assert read.base == base
    assert read.open == open_offsets[: len(read.open)]
    assert read.next == (done_until if len(read.open) == len(open_offsets) else open_offsets[len(read.open)])
    assert read.marks in ({}, given_marks)
    if len(read.open) < len(open_offsets):
        assert read.marks == {}, "marks hold for the whole only"


RAW_BYTES = MAX_METADATA_BYTES // 4 * 3
"""What base64 leaves of the limit."""


@given(
    base=offsets,
    step=st.sampled_from([0, 100, 200, 20_000, 3_000_000]),
    count=st.integers(RAW_BYTES - 100, RAW_BYTES + 100),
    bytes_of_step=st.integers(0, 3),
    marks=st.dictionaries(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 500)), st.tuples(offsets, offsets), max_size=4
    ),
)
def test_around_the_limit_offsets_are_cut_with_the_marks_or_kept_with_them(
    base: int, step: int, count: int, bytes_of_step: int, marks: dict[tuple[int, int], tuple[int, int]]
) -> None:
    """Marks beside cut offsets would skip the copies of what was cut, which nobody delivered."""
    count //= max(1, bytes_of_step)
    open_offsets = [base + number * (step + 1) for number in range(count)]
    given_marks = {SourceKey(*k): SourceMark(*v) for k, v in marks.items()}
    text = encode_metadata(base, open_offsets[-1] + 1, open_offsets, given_marks)
    assert len(text) <= MAX_METADATA_BYTES
    read = decode_metadata(text)
    assert read.open == open_offsets[: len(read.open)]
    if len(read.open) < len(open_offsets):
        assert (read.marks, read.next) == ({}, open_offsets[len(read.open)])
    else:
        assert (read.marks, read.next) == (given_marks, open_offsets[-1] + 1) or read.marks == {}


def test_what_the_limit_cut_off_is_delivered_after_a_crash() -> None:
    """A thousand undelivered events were skipped when the marks stayed beside the cut."""
    progress = PartitionProgress(0)
    records = 2 * RAW_BYTES
    for offset in range(records):
        assert progress.offer(offset, source(offset))
    progress.done(records - 1)
    point = progress.commit_point()
    assert point is not None
    assert len(point.metadata) > MAX_METADATA_BYTES - 200, "the test reaches the limit"
    after = PartitionProgress(point.offset, point.metadata)
    offered = [offset for offset in range(records) if after.offer(offset, source(offset))]
    assert offered[: records - 1] == list(range(records - 1))
    # A router's replay of the last ones, which were open, comes behind them and is known by then.
    assert not after.offer(records, source(records - 2))


@given(data=st.data())
def test_against_a_simple_model_nothing_is_lost_over_crashes(data: st.DataObject) -> None:
    """A partition's records, some of them router's copies; crashes at any point, commits at any point."""
    progress = PartitionProgress()
    committed: tuple[int | None, str] = (None, "")
    log: list[Source] = []
    next_source = 0
    read_position = 0
    done_records: set[int] = set()
    delivered_sources: set[int] = set()
    open_now: list[int] = []
    for _ in range(data.draw(st.integers(1, 60))):
        action = data.draw(st.sampled_from(["write", "replay", "read", "done", "commit", "crash"]))
        if action == "write":
            log.append(source(next_source))
            next_source += 1
        elif action == "replay" and next_source:
            log.append(source(data.draw(st.integers(0, next_source - 1))))
        elif action == "read" and read_position < len(log):
            if progress.offer(read_position, log[read_position]):
                open_now.append(read_position)
            read_position += 1
        elif action == "done" and open_now:
            offset = open_now.pop(data.draw(st.integers(0, len(open_now) - 1)))
            progress.done(offset)
            done_records.add(offset)
            delivered_sources.add(log[offset].offset)
        elif action == "commit":
            point = progress.commit_point()
            if point is not None:
                assert all(
                    o in done_records or log[o].offset in {log[d].offset for d in range(o)}
                    for o in range(point.offset)
                ), "committed past a record that is neither done nor a copy of an earlier one"
                committed = (point.offset, point.metadata)
                progress.committed(point)
        elif action == "crash":
            progress = PartitionProgress(*committed)
            read_position = committed[0] or 0
            open_now = []
    # In the end everything is read and done.
    while read_position < len(log):
        if progress.offer(read_position, log[read_position]):
            open_now.append(read_position)
        read_position += 1
    delivered_sources |= {log[offset].offset for offset in open_now}
    assert delivered_sources == {one.offset for one in log}
