"""Whatever a partition holds is read, or set apart with its place; nothing raises out of a poll."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery.record_batches import CODECS, FetchedRecords, RawBatches, Records, read_any_batch
from tests.servers.raw_batches import ATTRIBUTES_AT, MAGIC_AT, NOT_UTF8, RawRecord, raw_batch, sealed

PARTITION = TopicPartition("TRANSACTION", 0)
GOOD = [RawRecord(b"k%d" % number, b"v%d" % number, [("type", b"x")]) for number in range(3)]


class Assignment:
    active = True

    def __init__(self, position: int = 0) -> None:
        self.state = SimpleNamespace(paused=False, position=position)
        self.state.consumed_to = lambda offset: setattr(self.state, "position", offset)

    def state_value(self, _partition: TopicPartition) -> Any:
        return self.state


def fetched(data: bytes, offset: int = 0) -> FetchedRecords:
    records = Records(PARTITION, RawBatches(data), None, offset, None, None, True, 0)
    return FetchedRecords(PARTITION, assignment=Assignment(offset), partition_records=records, backoff=0.1)


def offsets(found: FetchedRecords, most: int | None = None) -> list[int]:
    return [record.offset for record in found.getall(most)]


def test_every_codec_of_kafka_is_there() -> None:
    assert all(has() for has in CODECS.values()), "cramjam is a run-time dependency"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_unusual_records_are_read_with_every_codec(codec: str) -> None:
    unusual = [
        RawRecord(),
        RawRecord(b"", b"", [("", b""), ("type", None)], timestamp_ms=-1),
        RawRecord(b"\xff", b"\xff", [(NOT_UTF8, b"\xff"), (NOT_UTF8, None), ("type", b"x")], timestamp_ms=0),
        RawRecord(b"k" * 100_000, None, [("n" * 70_000, b"x" * 70_000)], timestamp_ms=2**63 - 1),
    ]
    data = raw_batch(GOOD) + raw_batch(unusual, codec=codec, base_offset=3) + raw_batch(GOOD, base_offset=7)
    found = fetched(data)
    records = found.getall()
    assert [record.offset for record in records] == list(range(10))
    assert not found.has_more()
    escaped = "\\xff\\xfe" + "\\xc3" * 5
    assert records[5].headers == ((escaped, b"\xff"), (escaped, None), ("type", b"x"))
    assert records[4].headers == (("", b""), ("type", None))
    assert [record.timestamp for record in records[4:7]] == [-1, 0, 2**63 - 1]
    assert (records[3].key, records[3].value) == (None, None)
    assert [name.encode() for record in records for name, _ in record.headers], "names can be written again"


def test_a_poll_that_ends_within_such_a_batch_goes_on_behind_it() -> None:
    strange = [RawRecord(b"%d" % number, b"v", [(NOT_UTF8, b"x")]) for number in range(5)]
    found = fetched(raw_batch(strange) + raw_batch(GOOD, base_offset=5))
    assert [offsets(found, 2) for _ in range(4)] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def broken_checksum(batch: bytes) -> bytes:
    return batch[:-1] + bytes([batch[-1] ^ 1])


def unknown_codec(batch: bytes) -> bytes:
    changed = bytearray(batch)
    changed[ATTRIBUTES_AT + 1] |= 7
    return sealed(changed)


def unknown_version(batch: bytes) -> bytes:
    changed = bytearray(batch)
    changed[MAGIC_AT] = 9
    return bytes(changed)


def not_compressed(batch: bytes) -> bytes:
    changed = bytearray(batch)
    changed[ATTRIBUTES_AT + 1] |= 4
    return sealed(changed)


def cut_off_records(batch: bytes) -> bytes:
    changed = bytearray(batch)
    changed[-7] = 2  # the last name is said to be shorter
    return sealed(changed)


def too_many_records(batch: bytes) -> bytes:
    changed = bytearray(batch)
    changed[60] = 9  # so many are said to be there
    return sealed(changed)


DAMAGES = [broken_checksum, unknown_codec, unknown_version, not_compressed, cut_off_records]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_batch_stops_the_partition_there_and_says_where_to_go_on(damage: Any) -> None:
    data = raw_batch(GOOD) + damage(raw_batch(GOOD, base_offset=3)) + raw_batch(GOOD, base_offset=6)
    found = fetched(data)
    read = offsets(found)
    assert read[:3] == [0, 1, 2]
    batch = found.unreadable
    assert batch is not None
    assert (batch.offset, batch.next_offset) == (len(read), 6)
    assert batch.raw == damage(raw_batch(GOOD, base_offset=3))
    assert batch.problem
    assert found.has_more(), "it stays, so that nothing more is fetched of the partition"
    assert found.calculate_backoff() == 0, "the broker's other partitions do not wait for it"
    assert offsets(found) == []
    assert found._assignment.state.position == len(read)
    found._assignment.state.position = 6
    assert offsets(found) == []
    assert not found.has_more(), "after a seek it goes"


def test_damage_behind_the_last_record_of_a_batch_stops_nothing() -> None:
    data = raw_batch(GOOD) + too_many_records(raw_batch(GOOD, base_offset=3)) + raw_batch(GOOD, base_offset=6)
    found = fetched(data)
    assert offsets(found) == list(range(9))
    assert not found.has_more()


def test_the_last_batch_of_a_fetch_may_be_cut_and_the_first_may_not() -> None:
    good = raw_batch(GOOD)
    found = fetched(good + raw_batch(GOOD, base_offset=3)[:-5])
    assert offsets(found) == [0, 1, 2]
    assert not found.has_more()
    found = fetched(good[:-5])
    assert offsets(found) == []
    assert found.unreadable is not None
    assert (found.unreadable.offset, found.unreadable.next_offset) == (0, 3)


@given(st.binary(min_size=1, max_size=400), st.integers(0, 200))
def test_no_bytes_raise_and_reading_can_always_go_on(noise: bytes, at: int) -> None:
    batch = bytearray(raw_batch(GOOD))
    batch[at : at + len(noise)] = noise
    found = fetched(bytes(batch))
    offsets(found)
    if (stopped := found.unreadable) is not None:
        assert stopped.next_offset is not None
        assert stopped.next_offset > stopped.offset


def test_aiokafka_still_looks_these_up_where_they_are_replaced() -> None:
    read_any_batch()
    names = fetcher.Fetcher._proc_fetch_request.__code__.co_names
    assert {"MemoryRecords", "PartitionRecords", "FetchResult"} <= set(names)
    assert fetcher.FetchResult is FetchedRecords
