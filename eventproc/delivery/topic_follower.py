"""Follows a whole topic from its beginning: for what every worker keeps in memory and nobody may miss.

Reads are numbered. Read n is done when everything is read that was in the topic when n was asked for; the
first is asked for by the start itself. A reader that loses Kafka is made anew and goes on where it was.

A topic that was deleted, or deleted and made again, is read from its beginning: its offsets begin at 0 again,
and a reader that stays where it was hears nothing. That is seen at a look every ``LOOK_SECONDS``: the topic
is not there, or ends before what was read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from mode import Service

from eventproc.delivery.fetch_refusals import poll
from eventproc.delivery.topic_reader import has_reached

POLL_MS: Final = 100
RETRY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0
DELETED_HINT: Final = "the topic was deleted; what is in it now is read from its beginning"


class _DeletedError(Exception):
    """The topic that was read is gone, though another may have its name."""


class TopicFollower(Service):
    """Hands every record to ``apply``, in order per partition.

    Args:
        open_reader: makes a consumer of the whole topic, not started; see ``topic_reader``.
        apply: takes one record as aiokafka gives it; what is in it must not make it raise.
        done: told the number of each read that is done.
        lost: told why a reader is made anew.
        deleted: called when the topic was deleted: all that was applied is void, and the next read begins.
        kwargs: mode's.
    """

    def __init__(
        self,
        open_reader: Callable[[], AIOKafkaConsumer],
        apply: Callable[[Any], None],
        done: Callable[[int], None],
        lost: Callable[[Exception], None],
        deleted: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        self._open_reader = open_reader
        self._apply = apply
        self._on_done = done
        self._on_lost = lost
        self._on_deleted = deleted
        self._next_look = 0.0
        self._consumer: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._asked = 1
        self._done = 0
        self._progress = asyncio.Condition()
        super().__init__(**kwargs)

    def ask(self) -> int:
        """Read on to the topic's present end: the number of that read."""
        self._asked += 1
        return self._asked

    async def caught_up(self) -> None:
        """Wait until everything is read that is in the topic now."""
        number = self.ask()
        async with self._progress:
            await self._progress.wait_for(lambda: self._done >= number)

    async def beginnings(self) -> dict[int, int]:
        """The first offset that Kafka still has, by partition; empty while the reader has no connection.

        Raises:
            KafkaError: Kafka did not answer.
        """
        if self._consumer is None:
            return {}
        found = await self._consumer.beginning_offsets(self._consumer.assignment())
        return {partition.partition: offset for partition, offset in found.items()}

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            consumer = self._open_reader()
            try:
                await consumer.start()
                for partition, position in self._positions.items():
                    consumer.seek(partition, position)
                self._consumer = consumer
                await self._read(consumer)
            except _DeletedError:
                self._positions.clear()
                self._on_deleted()
                self.ask()
            except (KafkaError, OSError) as error:
                self._on_lost(error)
                await self.sleep(RETRY_SECONDS)
            finally:
                self._consumer = None
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        while not self.should_stop:
            number = self._asked
            if self._done < number:
                ends = await consumer.end_offsets(consumer.assignment())
                while not self.should_stop and not await has_reached(consumer, ends):
                    await self._poll(consumer)
                if not self.should_stop:
                    await self._reached(number)
            else:
                await self._poll(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        batches = await poll(consumer, timeout_ms=POLL_MS)
        for partition, records in batches.items():
            for record in records:
                self._apply(record)
                self._positions[partition] = record.offset + 1
        if self.loop.time() >= self._next_look:
            self._next_look = self.loop.time() + LOOK_SECONDS
            await self._look(consumer)

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        if not self._positions:
            return
        if any(
            one.partition not in (consumer.partitions_for_topic(one.topic) or ()) for one in self._positions
        ):
            raise _DeletedError
        try:
            ends = await consumer.end_offsets(list(self._positions))
        except UnknownTopicOrPartitionError:
            raise _DeletedError from None
        if any(ends[one] < position for one, position in self._positions.items()):
            raise _DeletedError

    async def _reached(self, number: int) -> None:
        async with self._progress:
            self._done = number
            self._progress.notify_all()
        self._on_done(number)
