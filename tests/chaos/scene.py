"""What the scenarios share: settings for a short life, a receiver that keeps the ledger, waits within bounds."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp

from eventproc.watermark import MetadataError, decode_metadata
from tests.chaos.ledger import DeliveryLedger, Tally
from tests.servers.anchor_env import Names
from tests.servers.kafka import Broker, Committed
from tests.servers.replies import Answer, Drip, Huge, Reply, Respond
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

QUICK: Final = {
    # A dead worker is missed after two seconds; the default is thirty.
    "CONSUMER_SESSION_TIMEOUT_SECONDS": "2",
    "CONSUMER_HEARTBEAT_INTERVAL_SECONDS": "0.5",
    "DELIVERY_RETRY_INITIAL_SECONDS": "0.1",
    "DELIVERY_RETRY_MAX_SECONDS": "2",
    "DELIVERY_BREAKER_OPEN_INITIAL_SECONDS": "0.1",
    "DELIVERY_BREAKER_OPEN_MAX_SECONDS": "1",
}


def noting(ledger: DeliveryLedger, respond: Respond) -> Respond:
    """Replies as told, and enters what it takes in the ledger; the destination is the path.

    A request counts as taken when a 2xx is meant for it, also when the worker dies before it comes.
    """

    def reply(record: RequestRecord, number: int) -> Reply:
        answer = respond(record, number)
        if isinstance(answer, Answer | Drip | Huge) and 200 <= answer.status < 300:
            ledger.received(record.path, record.event_id or "")
        return answer

    return reply


def report(name: str, ledger: DeliveryLedger) -> Tally:
    """Prints the line of the run and holds it to what no run may break: nothing lost, nothing out of order."""
    tally = ledger.tally()
    print(f"\n{tally.line(name)}", flush=True)
    assert (tally.lost, tally.out_of_order, tally.strangers) == (0, 0, 0), tally
    return tally


async def wait_until_all_done(broker: Broker, names: Names, topic: str, timeout_seconds: float) -> None:
    """Waits until the group has committed the end of the topic, so that no repetition is still to come."""
    state: list[object] = []

    async def is_done() -> bool:
        ends = await broker.end_offsets(topic)
        committed = await broker.committed(names.consumer_group, topic)
        state[:] = [ends, committed]
        return all(partition in committed or not end for partition, end in ends.items()) and all(
            committed[partition].offset == end for partition, end in ends.items() if end
        )

    await wait_until(is_done, timeout_seconds, lambda: f"all of {topic} committed, is {state}")


async def wait_until_done_but(
    broker: Broker, names: Names, topic: str, open_count: int, timeout_seconds: float
) -> None:
    """Waits until all but so many records of a one-partition topic are committed as done."""
    state: list[object] = []

    async def is_done() -> bool:
        (end,) = (await broker.end_offsets(topic)).values()
        committed = await broker.committed(names.consumer_group, topic)
        state[:] = [end, committed]
        return bool(committed) and _open_until(committed[0]) == (end, open_count)

    await wait_until(is_done, timeout_seconds, lambda: f"{open_count} open of {topic}, is {state}")


async def destinations(worker: WorkerProcess) -> dict[str, dict[str, Any]]:
    """The worker's page about its destinations, by id; empty while it does not answer."""
    timeout = aiohttp.ClientTimeout(total=5.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{worker.url}/destinations/") as page,
        ):
            return {one["id"]: one for one in await page.json()}
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
        return {}


def _open_until(committed: Committed) -> tuple[int, int] | None:
    """Below which offset the commit knows everything, and how many records are open there."""
    try:
        snapshot = decode_metadata(committed.metadata)
    except MetadataError:
        return None
    return snapshot.next, len(snapshot.open)
