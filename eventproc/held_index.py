"""Which transactions are held behind a dead letter, for ``delivery.on_dead_letter: hold_transaction``.

Folds the dead-letter topic as ``WaitingLetters`` does, and keeps of each letter its mark of a redrive alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc import dead_letters as dl
from eventproc.dead_letters import read_integer
from eventproc.letter_fold import Copy, LetterFold, TopicPlace
from eventproc.records import header_values, read_origin
from eventproc.redrive import LaneId, TopicRecord, read_id, read_lane


@dataclass(slots=True)
class _Held:
    """What holds one lane: letters that wait or are about to be written, each with its mark of a redrive."""

    letters: LetterFold[str | None] = field(default_factory=LetterFold)
    announced: list[tuple[str, str | None]] = field(default_factory=list)
    freed: tuple[int, int] | None = None


class HeldIndex:
    """Which lanes are held: those with a waiting dead letter, and what stands before a redriven event."""

    def __init__(self) -> None:
        self._lanes: dict[LaneId, _Held] = {}

    def apply(self, record: TopicRecord) -> None:
        """Take the next record of the topic; those of one key in the topic's order."""
        headers = header_values(record.headers)
        lane = read_lane(headers)
        if lane is None:
            return
        held = self._lanes.setdefault(lane, _Held())
        key = record.key or b""
        if (id_ := read_id(record)) is not None:
            origin = read_origin(record.headers)
            place = TopicPlace(record.partition, record.offset)
            held.letters.add(key, Copy(id_, place, origin.redriven))
            self.retract(lane, origin.event_id, origin.redriven)
        elif headers.get(dl.NOTE) == dl.NOTE_REDRIVEN:
            held.letters.take_off(key, record.partition, headers)
            partition = read_integer(headers.get(dl.NOTE_PARTITION))
            offset = read_integer(headers.get(dl.NOTE_OFFSET))
            if partition is not None and offset is not None:
                held.freed = (partition, offset)

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """A dead letter is about to be written: it holds its lane before it is read back."""
        self._lanes.setdefault(lane, _Held()).announced.append((event_id, redriven))

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """It was not written, as far as the writer knows; were it, it will be read back."""
        if (held := self._lanes.get(lane)) is not None and (event_id, redriven) in held.announced:
            held.announced.remove((event_id, redriven))

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """Whether the record there must follow its transaction's dead letters instead of being delivered.

        A redriven event passes, unless one of the same redrive has failed again before it. Any other waits
        for the lane's dead letters, and behind where they were put when they were redriven.
        """
        held = self._lanes.get(lane)
        if held is None:
            return False
        marks = [copy.kept for copy in held.letters]
        marks += [mark for _, mark in held.announced]
        if redriven is not None:
            return redriven in marks
        is_before = held.freed is not None and held.freed[0] == partition and offset < held.freed[1]
        return bool(marks) or is_before
