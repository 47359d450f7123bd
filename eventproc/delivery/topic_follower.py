"""Follows a whole topic from its beginning: for what every worker keeps in memory and nobody may miss.

Reads are numbered. Read n is done when everything is read that was in the topic when n was asked for; the
first is asked for by the start itself. A reader that loses Kafka is made anew and goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.record_batches import poll
from eventproc.delivery.topic_reader import has_reached

POLL_MS: Final = 100
RETRY_SECONDS: Final = 1.0


class TopicFollower(Service):
    """Hands every record to ``apply``, in order per partition.

    Args:
        open_reader: makes a consumer of the whole topic, not started; see ``topic_reader``.
        apply: takes one record as aiokafka gives it; what is in it must not make it raise.
        done: told the number of each read that is done.
        lost: told why a reader is made anew.
        kwargs: mode's.
    """

    def __init__(
        self,
        open_reader: Callable[[], AIOKafkaConsumer],
        apply: Callable[[Any], None],
        done: Callable[[int], None],
        lost: Callable[[Exception], None],
        **kwargs: Any,
    ) -> None:
        self._open_reader = open_reader
        self._apply = apply
        self._on_done = done
        self._on_lost = lost
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

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            consumer = self._open_reader()
            try:
                await consumer.start()
                for partition, position in self._positions.items():
                    consumer.seek(partition, position)
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                self._on_lost(error)
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

    async def _reached(self, number: int) -> None:
        async with self._progress:
            self._done = number
            self._progress.notify_all()
        self._on_done(number)
