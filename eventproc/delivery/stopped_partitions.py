"""Partitions that stand still at a batch that cannot be read: for pages, metrics, readiness and the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from eventproc.delivery.fetch_refusals import silent_partitions, stop_at_silence
from eventproc.delivery.partitions import Partition
from eventproc.delivery.record_batches import UnreadableBatch, fetch_again, next_to_read, unreadable_batches

log = structlog.stdlib.get_logger("eventproc.delivery")

RETRY_SECONDS: Final = 30.0
"""A batch is fetched again this often: another replica may lead by then, and have it undamaged."""


LOOK_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 10.0
"""Far above what a fetch waits, and what other partitions of the broker may come first."""


@dataclass(frozen=True, slots=True)
class StoppedPartition:
    """Where a partition stands still, and where reading could go on; ``since`` in seconds since the epoch.

    ``next_offset`` is None where the broker refuses to read: ``offsets skip`` finds out.
    """

    offset: int
    next_offset: int | None
    batch_bytes: int
    problem: str
    since: float


class StoppedPartitions:
    """Written by the consumer's thread, read by the event loop."""

    def __init__(
        self, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._clock = clock
        self._retry_at: dict[Partition, float] = {}
        self._current: Mapping[Partition, StoppedPartition] = {}
        self._silent: dict[TopicPartition, tuple[int, float]] = {}
        self._next_look = 0.0

    @property
    def current(self) -> Mapping[Partition, StoppedPartition]:
        """Those that stand still now, an immutable mapping that another thread may keep."""
        return self._current

    def readable_end(self, end: Callable[[Partition], int | None]) -> Callable[[Partition], int | None]:
        """Return the same, with None for a partition that is stopped: nothing is to be expected of it.

        Its batch's offset would not do: where a marker or a compacted record precedes the batch, the position
        stays below that offset until a record arrives.
        """
        current = self._current
        return lambda one: None if one in current else end(one)

    def look(self, consumer: AIOKafkaConsumer) -> None:
        """Compare with what the consumer has stopped reading; fetch again what is due."""
        held = unreadable_batches(consumer)
        if not held and not self._current:
            return
        current = {
            partition: stopped
            for partition, stopped in self._current.items()
            if partition in held or _is_still_there(consumer, TopicPartition(*partition), stopped)
        }
        for partition, batch in held.items():
            known = current.get(partition)
            if known is None or known.offset != batch.offset:
                current[partition] = self._stop(partition, batch)
            elif self._clock() >= self._retry_at[partition]:
                self._retry_at[partition] = self._clock() + RETRY_SECONDS
                fetch_again(consumer, partition)
        self._current = current

    async def look_for_silence(self, consumer: AIOKafkaConsumer, paused: Collection[Partition]) -> None:
        """Stop the partitions of which the broker gives nothing below their end, and no error either."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        silent = {}
        for partition, offset in silent_partitions(consumer, paused).items():
            before, since = self._silent.get(partition, (offset, now))
            silent[partition] = (offset, since if before == offset else now)
        self._silent = silent
        for partition, (offset, since) in list(silent.items()):
            if now - since >= SILENT_SECONDS:
                del silent[partition]
                await stop_at_silence(consumer, partition, offset)

    def _stop(self, partition: TopicPartition, batch: UnreadableBatch) -> StoppedPartition:
        self._retry_at[partition] = self._clock() + RETRY_SECONDS
        log.error(
            "partition.stopped",
            topic=partition.topic,
            partition=partition.partition,
            offset=batch.offset,
            next_offset=batch.next_offset,
            bytes=len(batch.raw),
            problem=batch.problem,
            hint=f"eventproc offsets skip {partition.topic}/{partition.partition} steps over the batch; see "
            "EventprocPartitionStopped in docs/operations.md first",
        )
        return StoppedPartition(batch.offset, batch.next_offset, len(batch.raw), batch.problem, self._wall())


def _is_still_there(consumer: AIOKafkaConsumer, partition: TopicPartition, stopped: StoppedPartition) -> bool:
    """Whether it is being fetched again; not once it was read, or is another worker's."""
    if partition not in consumer.assignment():
        return False
    position = next_to_read(consumer, partition)
    if position is not None and position > stopped.offset:
        log.info(
            "partition.resumed", topic=partition.topic, partition=partition.partition, offset=stopped.offset
        )
        return False
    return True
