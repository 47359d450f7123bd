"""Publishes events of many transactions into the source topic, at a pace, through broker restarts.

Each transaction has several events. They go by the transaction's id to one source partition, so the source
itself is in order and any disorder at a receiver is ours. The anchor keys by event id; with that the source
would be out of order by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from typing_extensions import Self

from tests.chaos.ledger import DeliveryLedger

BUSINESS: Final = "/event"
SEP24: Final = "/sep24"

_ACKNOWLEDGED_SECONDS: Final = 90.0
_TICK_SECONDS: Final = 0.02
_STATUSES = ("incomplete", "pending_user_transfer_start", "pending_anchor", "pending_stellar", "completed")


class Load:
    """The anchor, as far as its topic shows it. Events are numbered on over all calls.

    Args:
        bootstrap: ``host:port`` of the broker.
        topic: the source topic; it must exist.
        ledger: gets to know every event before it is sent.
        destinations: the receiver's paths at which each event is due.
        client: name of the client that the transactions belong to; None: of nobody.
        prefix: begins event and transaction ids.
        lanes: transactions whose events alternate in the topic.
        steps: events of each transaction.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        ledger: DeliveryLedger,
        *,
        destinations: Sequence[str] = (BUSINESS,),
        client: str | None = None,
        prefix: str = "",
        lanes: int = 20,
        steps: int = len(_STATUSES),
    ) -> None:
        self.published = 0
        self._topic = topic
        self._ledger = ledger
        self._destinations = destinations
        self._client = client
        self._prefix = prefix
        self._lanes = lanes
        self._steps = steps
        # A batch that expires would be a hole in the source: it may wait for as long as a broker is away.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=2,
            request_timeout_ms=round(_ACKNOWLEDGED_SECONDS * 1000),
        )

    async def publish(self, count: int, rate_per_second: float | None = None) -> list[str]:
        """Publishes so many events and returns when all are acknowledged: their ids.

        Args:
            count: how many.
            rate_per_second: the pace; None: as fast as it goes.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        ids, pending = [], []
        for number in range(count):
            if rate_per_second is not None and number > (loop.time() - began) * rate_per_second:
                await asyncio.sleep(_TICK_SECONDS)
            event_id, acknowledged = await self._send_next()
            ids.append(event_id)
            pending.append(acknowledged)
        await asyncio.wait_for(asyncio.gather(*pending), _ACKNOWLEDGED_SECONDS)
        return ids

    @asynccontextmanager
    async def flowing(self, rate_per_second: float, at_least: int) -> AsyncIterator[None]:
        """Publishes at this pace for as long as the block runs, and on until there are enough events."""
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._flow(rate_per_second, at_least, stop))
        try:
            yield
            stop.set()
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _flow(self, rate_per_second: float, at_least: int, stop: asyncio.Event) -> None:
        batch = max(1, round(rate_per_second * 0.5))
        while self.published < at_least or not stop.is_set():
            await self.publish(batch, rate_per_second)

    async def _send_next(self) -> tuple[str, asyncio.Future[Any]]:
        number = self.published
        self.published += 1
        block, place = divmod(number, self._lanes * self._steps)
        step, lane = divmod(place, self._lanes)
        event_id = f"{self._prefix}e{number}"
        transaction_id = f"{self._prefix}t{block * self._lanes + lane}"
        for destination in self._destinations:
            self._ledger.due(destination, event_id, transaction_id)
        value = event_bytes(event_id, transaction_id, step, self._client)
        return event_id, await self._producer.send(self._topic, value, key=transaction_id.encode())

    async def __aenter__(self) -> Self:
        await asyncio.wait_for(self._producer.start(), _ACKNOWLEDGED_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()


def event_bytes(event_id: str, transaction_id: str, step: int, client: str | None = None) -> bytes:
    """One event as the anchor writes it, of about the usual size."""
    transaction = {
        "id": transaction_id,
        "sep": "24",
        "kind": "deposit",
        "status": _STATUSES[step % len(_STATUSES)],
        "amount_expected": {"amount": "100.00", "asset": "iso4217:USD"},
        "amount_in": {"amount": "100.00", "asset": "iso4217:USD"},
        "amount_out": {"amount": "98.50", "asset": "stellar:native"},
        "fee_details": {"total": "1.50", "asset": "iso4217:USD"},
        "started_at": "2026-01-05T10:00:00Z",
        "message": "Please transfer the amount that is shown to the account that is shown.",
        "memo": "12345",
        "memo_type": "id",
        "destination_account": "GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG",
    }
    if client is not None:
        transaction["client_name"] = client
    kind = "transaction_created" if step == 0 else "transaction_status_changed"
    event = {"type": kind, "id": event_id, "sep": "24", "transaction": transaction}
    return json.dumps(event).encode()
