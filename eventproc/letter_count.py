"""How many dead letters wait, per destination: folded from the dead-letter topic, less than 1 KB a letter.

The number is that of ``eventproc deadletter list``: copies of one letter count once. Every worker reads the
whole topic, so every worker has the same number, after a restart too.

Memory is bounded. Beyond ``copies_max`` records that wait, further ones are counted without being kept:
copies of one letter then count more than once, and what expires stays counted until the worker starts again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from eventproc import dead_letters as dl
from eventproc.dead_letters import LetterId
from eventproc.identifiers import DestinationId
from eventproc.letter_fold import Copy, LetterFold, TopicPlace
from eventproc.records import header_values
from eventproc.redrive import TopicRecord, read_id, read_lane

COPIES_MAX: Final = 50_000
"""Measured at 0.5 KB each: 26 MB in a worker."""


class LetterCount:
    """Folds the topic's records; those of one key in the topic's order."""

    def __init__(self, copies_max: int = COPIES_MAX) -> None:
        self._copies_max = copies_max
        self._fold: LetterFold[None] = LetterFold()
        self._copies: Counter[LetterId] = Counter()
        self._copies_kept = 0
        self._waiting: Counter[DestinationId] = Counter()
        self._not_kept: Counter[DestinationId] = Counter()

    @property
    def is_exact(self) -> bool:
        """Whether every letter that waits is kept."""
        return not self._not_kept.total()

    def add(self, record: TopicRecord) -> None:
        """Take the next record of the topic, a dead letter, a note or a foreign one."""
        if (id_ := read_id(record)) is not None:
            self._keep(record, id_)
            return
        headers = header_values(record.headers)
        lane = read_lane(headers)
        if lane is None or headers.get(dl.NOTE) != dl.NOTE_REDRIVEN:
            return
        gone = self._fold.take_off(record.key or b"", record.partition, headers)
        self._drop(gone)
        if not gone and self._not_kept[lane[0]] > 0:
            self._not_kept[lane[0]] -= 1

    def forget_before(self, beginnings: Mapping[int, int]) -> None:
        """Drop the letters that Kafka has deleted: those below the first offset of their partition."""
        self._drop(self._fold.drop_before(beginnings))

    def by_destination(self) -> Counter[DestinationId]:
        """How many letters wait; destinations without any are left out."""
        return self._waiting + self._not_kept

    def _keep(self, record: TopicRecord, id_: LetterId) -> None:
        if self._copies_kept >= self._copies_max:
            self._not_kept[id_.destination] += 1
            return
        names = DestinationId(sys.intern(id_.destination)), sys.intern(id_.topic)
        shared = LetterId(*names, id_.partition, id_.offset, id_.timestamp_ms)
        if self._fold.add(record.key or b"", Copy(shared, TopicPlace(record.partition, record.offset), None)):
            self._copies_kept += 1
            self._copies[shared] += 1
            self._waiting[shared.destination] += self._copies[shared] == 1

    def _drop(self, gone: Iterable[Copy[None]]) -> None:
        for copy in gone:
            self._copies_kept -= 1
            self._copies[copy.id] -= 1
            if not self._copies[copy.id]:
                del self._copies[copy.id]
                self._waiting[copy.id.destination] -= 1
