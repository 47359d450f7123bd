"""Step 10 – ack: the whole prefix of a partition, and what is done beyond it, as commit metadata.

::

    offsets      0 1 2 3 4 5 6 7 8 9
    done         x x x . x x . x x      3 and 6 are open (in flight, or waiting)
                       ^           ^
                watermark          next: not seen yet

Only the watermark is ever committed as an offset: Faust's own bookkeeping can commit past a record in flight
(``Consumer._new_offset`` takes a gap of one for none; upstream issues 606 and 312). The open offsets beyond
it travel in the commit's metadata string, so that one stuck event does not bring back, after a crash,
everything that was delivered behind it (the idea is Confluent's Parallel Consumer's).

The same metadata carries, for each partition of the source topic, the highest source offset seen below
``next``. One router writes the copies of one source partition in order, so a copy at or below that offset,
found at or beyond ``next``, is a router's replay and is skipped. A topic that was deleted and made anew
starts at offset 0 with later timestamps, hence the timestamp beside the offset: a copy younger than
everything seen is never a replay.

Wire form of the metadata: base64 of ``version, crc16, varints``; at most ``MAX_METADATA_BYTES``. What does
not fit is left out, which costs duplicates after a crash, never a loss.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from eventproc.identifiers import Offset
from eventproc.records import Source

LATEST_MS: Final = 4_102_444_800_000
"""The year 2100: a later timestamp is microseconds by mistake, or no time at all."""

MAX_METADATA_BYTES: Final = 4096
_MAX_RAW_BYTES: Final = MAX_METADATA_BYTES // 4 * 3
_VERSION: Final = 1
_SHORT: Final = {number: bytes([number]) for number in range(0x80)}


@dataclass(frozen=True, slots=True)
class CommitPoint:
    """What to commit for one partition: the next offset to read, and the metadata string beside it."""

    offset: Offset
    metadata: str


class SourceKey(NamedTuple):
    """One partition of the source topic; the topic by its CRC-32, which is short."""

    topic_crc: int
    partition: int


class SourceMark(NamedTuple):
    """The highest offset and the latest timestamp (ms) seen of one source partition."""

    offset: int
    timestamp_ms: int


class Lost(NamedTuple):
    """Offsets that Kafka deleted before they were done; ``first`` is None when there is none."""

    offsets: int
    first: int | None


class MetadataError(Exception):
    """A metadata string that this version cannot read; the caller goes on without it."""


@dataclass(slots=True)
class _Snapshot:
    """What a metadata string says: below ``next`` only ``open`` is not done; ``marks`` hold below it."""

    base: int
    next: int
    open: list[int]
    marks: dict[SourceKey, SourceMark] = field(default_factory=dict)


class PartitionProgress:
    """The offsets of one assigned partition: what is open, what is done, what to commit.

    Offsets must be offered in the order Kafka gives them. Offsets that never appear (compacted away,
    transaction markers) count as done.
    """

    def __init__(self, committed: int | None = None, metadata: str = "") -> None:
        """Start at the committed offset; None when nothing was committed yet.

        Raises:
            MetadataError: the metadata is there and cannot be used.
        """
        self._open: dict[int, None] = {}
        self._next = committed
        self._marks: dict[SourceKey, SourceMark] = {}
        self._restored_until = -1
        self._restored_open: set[int] = set()
        self._before_restart: Counter[int] = Counter()
        self._changes = 0
        self._offered: tuple[CommitPoint, int] | None = None
        self._committed_changes = -1
        if metadata:
            snapshot = decode_metadata(metadata)
            if snapshot.base != committed:
                raise MetadataError(f"written for offset {snapshot.base}, found at {committed}")
            self._restored_until = snapshot.next
            self._restored_open = set(snapshot.open)
            self._marks = snapshot.marks

    @property
    def open_count(self) -> int:
        """How many records are accepted and not done."""
        return len(self._open)

    @property
    def next_offset(self) -> int | None:
        """The offset after the last one offered; None before the first record of a fresh group."""
        return self._next

    @property
    def watermark(self) -> Offset | None:
        """The offset below which everything is done; None before the first record."""
        for offset in self._open:
            return Offset(offset)
        return None if self._next is None else Offset(self._next)

    def offer(self, offset: int, source: Source | None, *, exempt: bool = False) -> bool:
        """Whether the record at ``offset`` is to be worked on; it is open from now on if so.

        False: already open or done in this session, done before a restart, or a router's replay.
        ``exempt`` records (redriven, replayed on purpose) are never taken for a replay.
        """
        if self._next is not None and offset < self._next:
            return False
        self._next = offset + 1
        if offset in self._restored_open:
            pass  # open before the restart: whatever the marks say, it was not delivered
        elif offset < self._restored_until or (source is not None and not exempt and self._is_replay(source)):
            self._changes += 1
            return False
        self._open[offset] = None  # nothing is done by that: it needs no commit of its own
        return True

    def done(self, offset: int) -> None:
        """The record at ``offset`` is finished for good: delivered, or its dead letter acknowledged."""
        if self._before_restart[offset]:
            self._before_restart[offset] -= (
                1  # of the two at this offset the one from before, as far as is known
            )
            return
        self._open.pop(offset, None)
        self._changes += 1

    def pass_over(self, start: int | None, end: int) -> bool:
        """Count offsets that hold no record as read: from ``start``, None for the beginning, up to ``end``.

        False, and nothing changes, when it was known, or when not everything below ``start`` was offered.
        """
        if self._next is None:
            if start is not None:
                return False
        elif not (self._next < end and (start is None or start <= self._next)):
            return False
        self._next = end
        self._changes += 1
        return True

    def expire(self, position: int, begin: int) -> Lost:
        """Go on at ``begin``, as the log before it was deleted.

        ``position``: where reading was; counts where no record was offered yet.
        """
        start = position if self._next is None else self._next
        if start >= begin:
            return Lost(0, None)
        known_until = max(start, min(self._restored_until, begin))
        lost = [offset for offset in sorted(self._restored_open) if start <= offset < known_until]
        self._next = begin
        self._changes += 1
        first = lost[0] if lost else known_until if known_until < begin else None
        return Lost(len(lost) + begin - known_until, first)

    def restart(self, begin: int) -> None:
        """Read again from ``begin``: the partition was truncated, or deleted and created again.

        Offsets say nothing about what is done from now on, since other records may have them. The marks still
        recognise what was delivered. What is open is accepted again if it is still there, as the worker may
        crash before it is done; it may come twice.
        """
        self._before_restart.update(self._open.keys())
        self._restored_open.update(self._open)
        self._restored_until = -1
        self._open = {}
        self._next = begin
        self._changes += 1

    def commit_point(self) -> CommitPoint | None:
        """What to commit now, or None when nothing was done since the last ``committed``."""
        watermark = self.watermark
        if watermark is None or self._next is None or self._changes == self._committed_changes:
            return None
        point = CommitPoint(watermark, self._metadata(watermark))
        self._offered = (point, self._changes)
        return point

    def committed(self, point: CommitPoint) -> bool:
        """The broker has taken ``point``; whether nothing was done since."""
        if self._offered is not None and self._offered[0] == point:
            self._committed_changes = self._offered[1]
        return self._changes == self._committed_changes

    def _metadata(self, watermark: int) -> str:
        assert self._next is not None  # noqa: S101 - commit_point has looked
        done_until, open_offsets = self._next, list(self._open)
        marks = self._marks
        still_to_come = sorted(offset for offset in self._restored_open if offset >= self._next)
        if self._restored_until > self._next:
            # Still inside what a restart brought back: the old knowledge beyond ``next`` stays true.
            done_until = self._restored_until
            open_offsets += still_to_come
        elif still_to_come:
            # Cut back, and not all read again that was open: the marks would take it for delivered.
            marks = {}
        return encode_metadata(watermark, done_until, open_offsets, marks)

    def _is_replay(self, source: Source) -> bool:
        key = SourceKey(zlib.crc32(source.topic.encode()), source.partition)
        mark = self._marks.get(key)
        if mark is None:
            self._marks[key] = SourceMark(source.offset, _plausible(source.timestamp_ms))
            return False
        if source.offset <= mark.offset and source.timestamp_ms <= mark.timestamp_ms:
            return True
        if source.offset <= mark.offset and source.timestamp_ms > LATEST_MS:
            return False  # it may be a replay, and its time cannot tell: better twice than never
        # A topic made anew begins again at 0: its offsets replace the old ones.
        self._marks[key] = SourceMark(source.offset, max(mark.timestamp_ms, _plausible(source.timestamp_ms)))
        return False


def _plausible(timestamp_ms: int) -> int:
    """Return the time for a mark: a topic that was made again must be able to have later ones."""
    return timestamp_ms if timestamp_ms <= LATEST_MS else 0


def encode_metadata(
    base: int, done_until: int, open_offsets: Iterable[int], marks: dict[SourceKey, SourceMark]
) -> str:
    """The metadata string for a commit at ``base``: all done below ``done_until`` but ``open_offsets``.

    ``open_offsets`` ascend from ``base``. What does not fit the limit is cut off at the end: then the string
    speaks of fewer offsets, and of no source marks, since these hold for the whole only.
    """
    runs = bytearray()
    previous = base
    known_until = done_until
    fits = True
    count = 0
    for offset in open_offsets:
        step = _varint(offset - previous)
        if len(runs) + len(step) > _MAX_RAW_BYTES - 64:
            known_until, fits = offset, False
            break
        runs += step
        previous = offset + 1
        count += 1
    body = _varint(base) + _varint(known_until - base) + _varint(count) + runs
    mark_bytes = b"".join(_encode_mark(key, mark) for key, mark in marks.items()) if fits else b""
    if len(body) + len(mark_bytes) > _MAX_RAW_BYTES - 16:
        mark_bytes = b""
    body += _varint(len(marks) if mark_bytes else 0) + mark_bytes
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "big")
    return base64.b64encode(_SHORT[_VERSION] + checksum + body).decode()


def decode_metadata(text: str) -> _Snapshot:
    """Read back what ``encode_metadata`` wrote.

    Raises:
        MetadataError: another version, another program's, or damaged.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MetadataError("not base64") from error
    if not raw or raw[0] != _VERSION:
        raise MetadataError(f"version {raw[0] if raw else 'none'}, this program writes {_VERSION}")
    if binascii.crc_hqx(raw[3:], 0).to_bytes(2, "big") != raw[1:3]:
        raise MetadataError("checksum does not fit")
    numbers = _read_varints(raw[3:])
    try:
        base = next(numbers)
        known_until = base + next(numbers)
        open_offsets = []
        position = base
        for _ in range(next(numbers)):
            position += next(numbers)
            open_offsets.append(position)
            position += 1
        marks = {
            SourceKey(next(numbers), next(numbers)): SourceMark(next(numbers), next(numbers))
            for _ in range(next(numbers))
        }
    except StopIteration as error:
        raise MetadataError("cut off") from error
    return _Snapshot(base, known_until, open_offsets, marks)


def _encode_mark(key: SourceKey, mark: SourceMark) -> bytes:
    return _encode_key(key) + _varint(mark.offset) + _varint(max(0, mark.timestamp_ms))


@lru_cache(maxsize=1024)
def _encode_key(key: SourceKey) -> bytes:
    return _varint(key.topic_crc) + _varint(key.partition)


def _varint(number: int) -> bytes:
    if (short := _SHORT.get(number)) is not None:
        return short
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varints(raw: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in raw:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield number
            number = shift = 0
