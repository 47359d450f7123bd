"""Which records of the dead-letter topic still wait: folded from the topic's start, one record at a time.

::

    dead-letter topic   A1  A2  note(A1)  A3      (A1, A2: copies that a crash made; A3: A failed again)
    waiting                  A2               if the note named A1 alone, for A2 was written meanwhile
                                          A3

A note takes off the copies of one dead letter up to the offset that it names. It takes off no other dead
letter that has the same key, as in records of earlier versions, which had the event id in the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from eventproc import dead_letters as dl
from eventproc.dead_letters import LetterId

T = TypeVar("T")


class TopicPlace(NamedTuple):
    """Where a record stands in the dead-letter topic."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Copy(Generic[T]):
    """One record of a dead letter; ``kept`` is what the reader keeps of it."""

    id: LetterId
    place: TopicPlace
    kept: T


class LetterFold(Generic[T]):
    """The copies that wait, by the key of their records, each key's in the topic's order."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, list[Copy[T]]] = {}

    def __iter__(self) -> Iterator[Copy[T]]:
        return (copy for copies in self._by_key.values() for copy in copies)

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def add(self, key: bytes, copy: Copy[T]) -> bool:
        """Take the next dead letter of a key; False when it was taken before, which changes nothing."""
        copies = self._by_key.setdefault(key, [])
        is_new = all(one.place != copy.place for one in copies)
        if is_new:
            copies.append(copy)
        return is_new

    def take_off(self, key: bytes, partition: int, headers: Mapping[str, bytes]) -> list[Copy[T]]:
        """Take the next note, which stands in ``partition``; return what does not wait any more."""
        copies = self._by_key.get(key, [])
        if headers.get(dl.NOTE) != dl.NOTE_REDRIVEN or not copies:
            return []
        gone = _named(copies, partition, headers)
        left = [copy for copy in copies if copy not in gone]
        if left:
            self._by_key[key] = left
        else:
            del self._by_key[key]
        return gone

    def drop_before(self, beginnings: Mapping[int, int]) -> list[Copy[T]]:
        """Drop and return the copies below the first offset of their partition, which Kafka has deleted."""
        gone: list[Copy[T]] = []
        for key, copies in list(self._by_key.items()):
            expired = [one for one in copies if one.place.offset < beginnings.get(one.place.partition, 0)]
            if not expired:
                continue
            gone += expired
            if len(expired) == len(copies):
                del self._by_key[key]
            else:
                self._by_key[key] = [one for one in copies if one not in expired]
        return gone


def _named(copies: list[Copy[T]], partition: int, headers: Mapping[str, bytes]) -> list[Copy[T]]:
    if dl.NOTE_UNTIL not in headers:
        return copies
    until = dl.read_integer(headers[dl.NOTE_UNTIL])
    letter_partition = dl.read_integer(headers.get(dl.NOTE_LETTER_PARTITION))
    place = (partition if letter_partition is None else letter_partition, until)
    named = next((copy.id for copy in copies if copy.place == place), None)
    return [
        copy
        for copy in copies
        if copy.id == named and copy.place.partition == place[0] and copy.place.offset <= (until or 0)
    ]
