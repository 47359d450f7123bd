"""Which transactions are held behind a dead letter, for ``delivery.on_dead_letter: hold_transaction``.

Every worker follows the dead-letter topic from its start, so a hold outlives a restart, passes to whoever
gets the partition in a rebalance, and ends when a redrive's notes arrive.

What was read may be old, and both mistakes cost: a hold not seen yet breaks the order, one that has ended
makes another dead letter. So nothing is delivered from partitions just assigned until all that was in the
topic by then has been read, and an event is given up only after asking once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.topic_reader import has_reached, topic_reader
from eventproc.redrive import HeldIndex, LaneId, TopicRecord
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

POLL_MS: Final = 100
RETRY_SECONDS: Final = 1.0


class HeldLanes(Service):
    """Follows the topic. Reads are numbered: number n is done when all that was there when asked is read."""

    def __init__(self, settings: Settings, topic: str, **kwargs: Any) -> None:
        self._settings = settings
        self._topic = topic
        self._index = HeldIndex()
        self._positions: dict[TopicPartition, int] = {}
        self._asked = 1
        self._needed = 1
        self._done = 0
        self._progress = asyncio.Condition()
        self._listeners: dict[Callable[[], None], None] = {}
        super().__init__(**kwargs)

    @property
    def is_current(self) -> bool:
        """Whether everything is read that was there at the last ``refresh``."""
        return self._done >= self._needed

    def refresh(self, when_current: Callable[[], None]) -> None:
        """Be current only after reading on to the topic's present end; then call back."""
        self._asked += 1
        self._needed = self._asked
        self._listeners[when_current] = None

    async def caught_up(self) -> None:
        """Wait until everything is read that is in the topic now."""
        self._asked += 1
        number = self._asked
        async with self._progress:
            await self._progress.wait_for(lambda: self._done >= number)

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """This worker is about to write a dead letter: its lane is held from now on.

        Before, not after: the reader can see the record sooner than the writer sees its acknowledgement.
        """
        self._index.announce(lane, event_id, redriven)

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """The dead letter was not written."""
        self._index.retract(lane, event_id, redriven)

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """Whether the record at this place of its destination's topic must not be delivered."""
        return self._index.is_held(lane, partition, offset, redriven)

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            consumer = topic_reader(self._settings, self._topic)
            try:
                await consumer.start()
                for partition, position in self._positions.items():
                    consumer.seek(partition, position)
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                log.warning("held_lanes.reader_restarts", problem=repr(error))
                await self.sleep(RETRY_SECONDS)
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while not self.should_stop:
            number = self._asked
            if self._done < number:
                ends = await consumer.end_offsets(consumer.assignment())
                while not self.should_stop and not await has_reached(consumer, ends):
                    await self._poll(consumer)
                await self._reached(number)
            else:
                await self._poll(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=POLL_MS)
        for partition, records in batches.items():
            for record in records:
                # Headers are all that matters here, and values can be large.
                self._index.apply(TopicRecord(record.offset, record.key, None, list(record.headers)))
                self._positions[partition] = record.offset + 1

    async def _reached(self, number: int) -> None:
        was_current = self.is_current
        async with self._progress:
            self._done = number
            self._progress.notify_all()
        if self.is_current and not was_current:
            log.info("held_lanes.current")
            for listener in self._listeners:
                listener()


class UnsharedHolds:
    """The same for an engine that stands alone: holds last as long as it does."""

    is_current = True

    def __init__(self) -> None:
        self._index = HeldIndex()

    def refresh(self, when_current: Callable[[], None]) -> None:
        """There is nothing to read."""

    async def caught_up(self) -> None:
        """There is nothing to read."""

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """As ``HeldLanes.announce``."""
        self._index.announce(lane, event_id, redriven)

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """As ``HeldLanes.retract``."""
        self._index.retract(lane, event_id, redriven)

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """As ``HeldLanes.is_held``."""
        return self._index.is_held(lane, partition, offset, redriven)
