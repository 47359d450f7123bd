"""The anchor: publishes events of many transactions at a steady rate, and enters in the ledger what is due.

The events of one transaction go to one partition of the source, by its id as key, so that the source itself
is in order and any disorder at a receiver is ours.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from bench.load import CUSTOMERS, EVENTS_PER_TRANSACTION, client_name, event_value
from bench.soak.ledger import ForgetfulLedger
from bench.soak.receivers import BUSINESS

LANES: Final = 100
"""Transactions whose events alternate in the topic."""

_TICK_SECONDS: Final = 0.02
_BEHIND_SECONDS: Final = 1.0
"""What a stalled machine has missed beyond this is left out: catching up would be another load."""
_ACKNOWLEDGED_SECONDS: Final = 90.0


class Traffic:
    """Events are numbered on; each is due at the business server and at its client's wallet."""

    def __init__(self, bootstrap: str, topic: str, ledger: ForgetfulLedger, clients: int) -> None:
        self.published = 0
        self.problem: str | None = None
        self._topic = topic
        self._ledger = ledger
        self._clients = clients
        self._per_second = 0.0
        self._pending: set[asyncio.Future[Any]] = set()
        self._turn = asyncio.Lock()  # one publishes at a time, so that a transaction stays in order
        self._flowing: asyncio.Task[None] | None = None
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=2,
            request_timeout_ms=round(_ACKNOWLEDGED_SECONDS * 1000),
        )

    async def start(self) -> None:
        """Connect; publish nothing yet."""
        await asyncio.wait_for(self._producer.start(), _ACKNOWLEDGED_SECONDS)
        self._flowing = asyncio.get_running_loop().create_task(self._flow())

    async def stop(self) -> None:
        """Publish no more; what was handed over is still written."""
        if self._flowing is not None:
            self._flowing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flowing
        await self._producer.stop()

    def set_rate(self, per_second: float) -> None:
        """Events a second from now on; 0: none."""
        self._per_second = per_second

    async def burst(self, events: int) -> None:
        """Publish so many as fast as it goes."""
        async with self._turn:
            for _ in range(events):
                await self._send_next()

    async def _flow(self) -> None:
        loop = asyncio.get_running_loop()
        last, owed = loop.time(), 0.0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = loop.time()
            owed += min(now - last, _BEHIND_SECONDS) * self._per_second
            last = now
            async with self._turn:
                for _ in range(int(owed)):
                    await self._send_next()
            owed -= int(owed)

    async def _send_next(self) -> None:
        number = self.published
        self.published += 1
        transaction = number // (LANES * EVENTS_PER_TRANSACTION) * LANES + number % LANES
        client = client_name(transaction % self._clients)
        event_id, transaction_id = f"e{number}", f"t{transaction}"
        now = time.monotonic()
        for destination in (BUSINESS, client):
            self._ledger.due(destination, event_id, transaction_id, now)
        value = event_value(event_id, transaction_id, f"c{transaction % CUSTOMERS}", client)
        acknowledged = await self._producer.send(self._topic, value, key=transaction_id.encode())
        self._pending.add(acknowledged)
        acknowledged.add_done_callback(self._acknowledged)

    def _acknowledged(self, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            # A hole in the source would look like a loss of ours.
            self.problem = f"publishing failed: {error!r}"
