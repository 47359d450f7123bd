"""The customer index, shared by all workers through a compacted topic.

Every worker reads the whole topic at start, and routes nothing before it has: an event of a known customer
must not become an event of nobody because a worker is young. A Faust ``GlobalTable`` does the same through
Faust's own assignor and a recovery at each rebalance; a plain reader costs neither.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.customer_index import CustomerIndex
from eventproc.delivery.topic_reader import has_reached, topic_reader
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

POLL_MS: Final = 500
RETRY_SECONDS: Final = 1.0


class CustomerDirectory(Service):
    """Keeps ``index`` up to date; ``ready`` is set when it holds everything written before the start."""

    def __init__(self, settings: Settings, topic: str, **kwargs: Any) -> None:
        self._settings = settings
        self._topic = topic
        self.index = CustomerIndex()
        self.ready = asyncio.Event()
        super().__init__(**kwargs)

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            consumer = topic_reader(self._settings, self._topic)
            try:
                await consumer.start()
                await self._read(consumer)
            except (KafkaError, OSError) as error:
                log.warning("customers.reader_restarts", problem=repr(error))
                await self.sleep(RETRY_SECONDS)
            finally:
                await consumer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        ends = await consumer.end_offsets(consumer.assignment())
        while not self.should_stop:
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            for records in batches.values():
                for record in records:
                    if record.key is not None:
                        self.index.restore(record.key.decode("utf-8", "replace"), record.value)
            if not self.ready.is_set() and await has_reached(consumer, ends):
                self.ready.set()
                log.info("customers.loaded", customers=len(self.index))
