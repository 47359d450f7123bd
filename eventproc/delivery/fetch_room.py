"""How many bytes aiokafka (0.14) may keep of what it fetched and no one has taken yet.

aiokafka bounds one fetch, not what it keeps: each partition may have a part of a fetch waiting, also a paused
one, for as long as the pause lasts. That is an event of 1 MB for each partition of each destination that is
down. So a fetch asks for no more than there is room for, a paused partition is not fetched, and where room is
short, what was fetched of a paused partition is dropped: its position has not moved, so it is fetched again.
Proof: tests/unit/delivery/test_fetch_room.py.
"""

# ruff: noqa: SLF001 - see above
from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Any, Final

from aiokafka.structs import TopicPartition

from eventproc.delivery.partitions import Partition

SHORT_SHARE: Final = 0.5
"""Of the room; once so much is taken, paused partitions keep nothing."""


class LeftOut(Collection[TopicPartition]):
    """The partitions not to be fetched: those with records that wait, at any moment, and paused ones."""

    def __init__(self, records: Collection[TopicPartition], paused: Collection[Partition]) -> None:
        self._records = records
        self.paused = paused

    def __contains__(self, partition: object) -> bool:
        return partition in self._records or partition in self.paused

    def __iter__(self) -> Iterator[TopicPartition]:
        yield from self._records
        for partition in self.paused:
            if partition not in self._records:
                yield TopicPartition(*partition)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class FetchRoom:
    """Room of ``max_bytes`` in one fetcher; ``paused`` returns the partitions not read now."""

    def __init__(self, max_bytes: int, paused: Callable[[], Collection[Partition]] = frozenset) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        """As of the last look; another thread may read it."""
        self.paused = paused

    def make(self, records: MutableMapping[TopicPartition, Any]) -> int:
        """Return how many bytes may be fetched now, after dropping what has to go; may be below zero."""
        sizes = {partition: _size(result) for partition, result in records.items()}
        held = sum(sizes.values())
        if held > self.max_bytes * SHORT_SHARE:
            for partition in self.paused():
                if size := sizes.get(TopicPartition(*partition), 0):
                    del records[TopicPartition(*partition)]
                    held -= size
        self.held_bytes = held
        return self.max_bytes - held


def _size(result: Any) -> int:
    """Return the bytes of a partition's part of a fetch, as it came; an error has none."""
    partition_records = getattr(result, "_partition_records", None)
    return 0 if partition_records is None else int(partition_records._records.size_in_bytes())


AMPLE: Final = FetchRoom(2**40)
"""For a reader that takes everything at once."""
