"""Every batch that Kafka may hold, read or set apart, without an exception from aiokafka (0.14).

``RawBatches``
    A header's name is bytes to Kafka; aiokafka decodes it as UTF-8 or raises. Here a byte that is no UTF-8 is
    escaped (``backslashreplace``). A batch of an unknown version aiokafka reads as version 2; here it is
    damaged.
``Records``, ``FetchedRecords``
    aiokafka raises from ``getmany`` when a batch has a wrong checksum, an unknown codec or damaged records:
    what it had taken of other partitions is lost, and the next call raises again. Here that partition alone
    stops. The batch stays among the fetched records, so aiokafka fetches nothing more of the partition, and
    ``unreadable_batches`` returns it.

aiokafka takes a batch that is cut off for one larger than a fetch, and skips its first offset. Brokers since
0.10.1 never cut the first batch, so here it stops the partition, too.

There is no public way: aiokafka's fetcher looks these classes up in its module. Upstream: aiokafka issue 321
(checksums); none is known for names. Proof: tests/unit/delivery/test_record_batches.py,
tests/chaos/test_any_record.py.
"""

# ruff: noqa: SLF001 - see above
from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.codec import has_gzip, has_lz4, has_snappy, has_zstd
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.structs import TopicPartition

CODECS: Final = {"gzip": has_gzip, "snappy": has_snappy, "lz4": has_lz4, "zstd": has_zstd}

_HEAD: Final = struct.Struct(">qi")
"""Base offset, and the bytes that follow; in all versions of the format."""

_MAGIC_AT: Final = 16
_NEWEST_MAGIC: Final = 2
_LEAST_BYTES: Final = {0: 26, 1: 34, 2: 61}
_LAST_DELTA: Final = struct.Struct(">i")
_LAST_DELTA_AT: Final = 23


@dataclass(frozen=True, slots=True)
class UnreadableBatch:
    """What stops its partition at ``offset``; behind it, reading goes on at ``next_offset``.

    A broker that refuses an offset gives no bytes, and no next offset: see ``fetch_refusals.py``.
    """

    offset: int
    next_offset: int | None
    problem: str
    raw: bytes


def read_any_batch() -> None:
    """Let every consumer of this process read so from now on."""
    fetcher.MemoryRecords = RawBatches
    fetcher.PartitionRecords = Records
    fetcher.FetchResult = FetchedRecords


def unreadable_batches(consumer: AIOKafkaConsumer) -> Mapping[TopicPartition, UnreadableBatch]:
    """The partitions that a consumer has stopped reading, each with its batch."""
    if consumer._fetcher is None:
        return {}
    return {
        partition: found.unreadable
        for partition, found in consumer._fetcher._records.items()
        if isinstance(found, FetchedRecords) and found.unreadable is not None
    }


def next_to_read(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The position of an assigned partition; None while it is not known."""
    found: int | None = consumer._subscription.subscription.assignment.state_value(partition)._position
    return found


def fetch_again(consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
    """Ask for an unreadable batch once more: another replica may have it undamaged."""
    if consumer._fetcher._records.pop(partition, None) is not None:
        consumer._fetcher._notify(consumer._fetcher._wait_consume_future)


class RawBatches:
    """In place of aiokafka's ``MemoryRecords``: what one fetch brought of a partition, batch by batch."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._start = self._end = 0
        self._any_names = False

    def size_in_bytes(self) -> int:
        """All of it."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether there is a whole batch more, or nothing but the part of one."""
        is_first = self._end == 0 and len(self._data) > 0
        return self._any_names or is_first or self._end_of(self._end) is not None

    def next_batch(self) -> Any:
        """The next one; raises CorruptRecordException for what is none."""
        if self._any_names:
            self._any_names = False
            return _AnyNames(self.raw)
        self._start, end = self._end, self._end_of(self._end)
        self._end = len(self._data) if end is None else end
        raw = self._data[self._start : self._end]
        magic = raw[_MAGIC_AT] if len(raw) > _MAGIC_AT else None
        if magic is None or magic > _NEWEST_MAGIC:
            raise CorruptRecordException(f"a batch of {len(raw)} bytes in version {magic} of the format")
        if end is None or len(raw) < _LEAST_BYTES[magic]:
            raise CorruptRecordException(f"a batch cut off after {len(raw)} bytes")
        return DefaultRecordBatch(raw) if magic == _NEWEST_MAGIC else LegacyRecordBatch(raw, magic)

    def again_with_any_names(self) -> None:
        """Let ``next_batch`` return the same batch once more, in plain Python, with any bytes as names."""
        self._any_names = True

    @property
    def raw(self) -> bytes:
        """The batch that ``next_batch`` came to last."""
        return bytes(self._data[self._start : self._end])

    @property
    def following(self) -> int | None:
        """Where the batch behind that one begins; None when this does not hold it."""
        return _HEAD.unpack_from(self._data, self._end)[0] if self._end_of(self._end) is not None else None

    def _end_of(self, start: int) -> int | None:
        if len(self._data) - start < _HEAD.size:
            return None
        length = _HEAD.unpack_from(self._data, start)[1]
        end = start + _HEAD.size + length
        return end if length > 0 and end <= len(self._data) else None


class Records(fetcher.PartitionRecords):
    """In place of aiokafka's: ends at a batch that cannot be read, and keeps it in ``unreadable``."""

    unreadable: UnreadableBatch | None = None
    _records: RawBatches

    @property
    def is_held(self) -> bool:
        """Whether this stays among the fetched records, so that nothing more is fetched of the partition."""
        return self.unreadable is not None

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except StopIteration:
            raise
        except Exception as error:
            if _is_of_a_name(error):
                # The records that came before in the batch are below ``next_fetch_offset``, and left out.
                self._records.again_with_any_names()
            elif (next_offset := self._behind()) > self.next_fetch_offset:
                problem = f"{type(error).__name__}: {error}"
                self.unreadable = UnreadableBatch(
                    self.next_fetch_offset, next_offset, problem, self._records.raw
                )
                raise StopIteration from error
        self._records_iterator = self._unpack_records()
        return next(self)

    def _behind(self) -> int:
        return _next_offset(self.next_fetch_offset, self._records.raw, self._records.following)


class FetchedRecords(fetcher.FetchResult):
    """In place of aiokafka's: is not used up while there is a batch in it that cannot be read."""

    _partition_records: Records | None

    @property
    def unreadable(self) -> UnreadableBatch | None:
        """The batch at which the partition stands still."""
        return None if self._partition_records is None else self._partition_records.unreadable

    @property
    def is_held(self) -> bool:
        """Whether this stays where it is, and has nothing to be taken."""
        return self._partition_records is not None and self._partition_records.is_held

    def calculate_backoff(self) -> float:
        """How long the other partitions of the broker wait for this to be taken."""
        return 0.0 if self.is_held else float(super().calculate_backoff())

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The records before such a batch."""
        records = self._partition_records
        if self.is_held:
            self.check_assignment(self._topic_partition)  # lets go of it after a seek
            return []
        found: list[Any] = super().getall(max_records)
        if records is not None and records.is_held:
            self._partition_records = records
        return found


class _Lenient(bytearray):
    """Slices decode whatever they hold."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - bytearray's
        return super().decode(encoding, "backslashreplace")


class _AnyNames(_DefaultRecordBatchPy):
    _buffer: bytearray

    def __iter__(self) -> Any:
        super().__iter__()
        self._buffer = _Lenient(self._buffer)
        return self


def _is_of_a_name(error: Exception) -> bool:
    """Without its C extension aiokafka makes an error of its own of it."""
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


def _next_offset(offset: int, raw: bytes, following: int | None) -> int:
    """Where to go on behind a damaged batch, whose own word for it may be damaged, too."""
    said = offset + 1
    if len(raw) >= _LEAST_BYTES[_NEWEST_MAGIC] and raw[_MAGIC_AT] == _NEWEST_MAGIC:
        said = _HEAD.unpack_from(raw)[0] + _LAST_DELTA.unpack_from(raw, _LAST_DELTA_AT)[0] + 1
    if following is not None and following >= offset:
        return following
    return said if said >= offset else offset + 1
