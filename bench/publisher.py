"""Publishes events at a steady rate, as an anchor does: one at a time, at moments of their own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from bench.load import Load

START_SECONDS = 30.0
ACKNOWLEDGED_SECONDS = 30.0


class Publisher:
    """Writes to the anchor's topic and remembers when."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def publish(self, load: Load, per_second: float) -> dict[str, int]:
        """Event id to the moment it was handed to the producer, in ns since the epoch.

        Gaps are random around the rate: even ones could fall in step with the worker's fetches. No event
        waits for the acknowledgement of the one before, so a slow moment delays no later one unseen.
        """
        gaps = random.Random(load.mark)
        published: dict[str, int] = {}
        acknowledged = []
        due = time.monotonic()
        for number, record in enumerate(load.source_records()):
            due += gaps.expovariate(per_second)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            published[load.event_id(number)] = time.time_ns()
            acknowledged.append(
                await self._producer.send(
                    self._topic,
                    record.value,
                    record.key,
                    partition=record.partition,
                    headers=record.headers,
                )
            )
        await asyncio.wait_for(asyncio.gather(*acknowledged), ACKNOWLEDGED_SECONDS)
        return published


@asynccontextmanager
async def publisher(bootstrap: str, topic: str) -> AsyncIterator[Publisher]:
    """A publisher that waits for nothing before it sends."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)
    await asyncio.wait_for(producer.start(), START_SECONDS)
    try:
        yield Publisher(producer, topic)
    finally:
        await producer.stop()
