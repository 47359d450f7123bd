"""A receiver that answers anything at all: nothing is lost, and memory stays flat."""

from __future__ import annotations

import random
from typing import Final

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import Load
from tests.chaos.scene import QUICK, noting, report, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import (
    OK,
    Drip,
    Garbage,
    Hang,
    Huge,
    Reply,
    Reset,
    redirect_loop,
    retry_after,
    status,
)
from tests.servers.request_record import RequestRecord

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

GOOD_SHARE: Final = 0.6
MEMORY_GROWTH_BYTES: Final = 30 << 20
_HUGE_BYTES = 256 << 20

BAD: Final[list[Reply]] = [
    status(500),
    status(503, b"down for maintenance" * 1000),
    retry_after(1, 429),
    Hang(),
    Reset(),
    Garbage(),
    Drip(status=500),
    Huge(_HUGE_BYTES, status=500),
    Drip(),
    Huge(_HUGE_BYTES),
]


@pytest.mark.timeout(900)
async def test_a_receiver_that_answers_at_random_loses_nothing(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, chaos_long: bool
) -> None:
    """Each event's answers follow from its id and the attempt, so a run can be repeated."""
    events = 20_000 if chaos_long else 1_000
    ledger = DeliveryLedger()
    seen: set[str] = set()

    def reply(record: RequestRecord, number: int) -> Reply:
        rng = random.Random(f"{record.event_id}/{record.attempt}")
        if rng.random() < GOOD_SHARE:
            return OK
        kind = rng.randrange(len(BAD) + 1)
        bad = BAD[kind] if kind < len(BAD) else redirect_loop(record, number)
        seen.add(repr(bad))
        return bad

    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        extra = {
            **QUICK,
            "DELIVERY_CONNECT_TIMEOUT_SECONDS": "0.3",
            "DELIVERY_REQUEST_TIMEOUT_SECONDS": "0.3",
            "DELIVERY_RETRY_INITIAL_SECONDS": "0.02",
            "DELIVERY_RETRY_MAX_SECONDS": "0.2",
            "DELIVERY_RETRY_RETRY_AFTER_MAX_SECONDS": "0.2",
            "DELIVERY_BREAKER_OPEN_INITIAL_SECONDS": "0.02",
            "DELIVERY_BREAKER_OPEN_MAX_SECONDS": "0.1",
        }
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=extra)
        worker = await start_worker(env)
        await load.publish(events)
        await receiver.wait_until(lambda: ledger.missing <= events * 3 // 4, 400)
        memory = worker.memory_bytes
        await receiver.wait_until(lambda: ledger.missing == 0, 800)
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 60)
        grown = worker.peak_memory_bytes - memory
        letters = await apache_kafka.read_all(names.topic("dead-letter"))
    report("random_answers", ledger)
    print(
        f"  {receiver.count} requests, {len(seen)} kinds of misbehaviour, memory {grown / (1 << 20):+.1f} MB"
    )
    assert len(seen) == len(BAD) + 1
    assert letters == []
    assert grown < MEMORY_GROWTH_BYTES
