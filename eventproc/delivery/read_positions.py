"""Where reading moved without a record: over a gap, over lost records, or back in a truncated partition.

::

    offsets    0 1 2 3 4 5 6 7 8 9 10
    log        r r r c . . r r A A c      r record, c transaction marker, A aborted, . compacted away
                     ^^^^^     ^^^^^^
                     a reader gets none of these

aiokafka moves its position over offsets that hold no record and reports it to no one. A ``Gap`` is a fact
about the log and not an instruction: a handler that has not seen everything below ``start`` leaves it alone,
so records that were dropped on their way (in a rebalance) are never taken for read.

A position outside of the log is refused by Kafka. aiokafka would go to the log's beginning and report
nothing; here it raises instead (``auto_offset_reset`` none), and ``find_jumps`` finds out whether the log
begins later or ends earlier.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

log = structlog.stdlib.get_logger("eventproc.delivery")

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Gap:
    """No record is from ``start`` (None: the partition's beginning) up to ``end``, which is exclusive."""

    start: int | None
    end: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The log begins at ``begin`` now, and the next record to read was at ``position``, before it."""

    position: int
    begin: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The log ends at ``end`` now, before ``position``; it is read again from its ``begin``."""

    position: int
    begin: int
    end: int


Step: TypeAlias = Gap | Expired | Truncated


class ReadPositions:
    """Up to where each partition's records were handed on, and the gaps behind that. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._handed: dict[TopicPartition, int | None] = {}
        self._next_look = 0.0

    def restart(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Reading begins here; None: at the partition's beginning."""
        self._handed = dict(positions)

    def handed(self, records: Mapping[TopicPartition, Any]) -> None:
        """These records of a poll are handed on."""
        for partition, batch in records.items():
            if batch:
                self._handed[partition] = batch[-1].offset + 1

    def jumped(self, jumps: Mapping[TopicPartition, Expired | Truncated]) -> None:
        """Reading goes on at the beginning of these partitions."""
        self._handed.update((partition, jump.begin) for partition, jump in jumps.items())

    def gaps(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, Gap]:
        """What reading has passed over. Looks once in ``LOOK_SECONDS``, as it goes through all partitions.

        Directly after ``handed``: no record may come between the two.
        """
        now = self._clock()
        subscription = consumer._subscription.subscription  # noqa: SLF001 - `position` is a coroutine for each
        if now < self._next_look or subscription is None or subscription.assignment is None:
            return {}
        self._next_look = now + LOOK_SECONDS
        handed = self._handed
        moved = {
            partition: state._position  # noqa: SLF001 - as above
            for partition, state in subscription.assignment._tp_state.items()  # noqa: SLF001 - as above
            if state._position is not None and state._position != handed.get(partition)  # noqa: SLF001
        }
        found = {partition: Gap(handed.get(partition), end) for partition, end in moved.items()}
        handed.update(moved)
        return found


async def find_jumps(
    consumer: AIOKafkaConsumer, refused: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Expired | Truncated]:
    """Seek to the beginning of each partition where Kafka has nothing at the position that was ``refused``.

    What Kafka does not answer in time is left as it is: the next poll is refused again.
    """
    partitions = list(refused)
    try:
        begins = await asyncio.wait_for(consumer.beginning_offsets(partitions), ANSWER_SECONDS)
        ends = await asyncio.wait_for(consumer.end_offsets(partitions), ANSWER_SECONDS)
    except (KafkaError, asyncio.TimeoutError) as error:
        log.warning("partition.not_examined", partitions=len(partitions), problem=repr(error)[:200])
        return {}
    jumps: dict[TopicPartition, Expired | Truncated] = {}
    for partition, position in refused.items():
        begin, end = begins[partition], ends[partition]
        if position < begin:
            jumps[partition] = Expired(position, begin)
        elif position > end:
            jumps[partition] = Truncated(position, begin, end)
        else:
            continue  # a leader that was behind for a moment
        if partition in consumer.assignment():
            consumer.seek(partition, begin)
    return jumps
