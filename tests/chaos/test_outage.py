"""A receiver that is down for ten minutes: everything waits, nothing is given up, and no herd comes back."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import Load
from tests.chaos.scene import QUICK, destinations, noting, report
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import Reply, delay, status
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

MAX_IN_FLIGHT = 16
FAILURE_THRESHOLD = 5
TEN_MINUTES_OF_PROBES = 15
"""With the default pauses, 1 + 2 + … + 32 s and then a minute each: the fifteenth probe is after ten minutes."""

FASTER = 120
"""How much shorter all waits are than the defaults."""

SCALED = {
    "DELIVERY_RETRY_INITIAL_SECONDS": f"{1 / FASTER:.4f}",
    "DELIVERY_RETRY_MAX_SECONDS": f"{300 / FASTER:.4f}",
    "DELIVERY_BREAKER_OPEN_INITIAL_SECONDS": f"{1 / FASTER:.4f}",
    "DELIVERY_BREAKER_OPEN_MAX_SECONDS": f"{60 / FASTER:.4f}",
    "DELIVERY_BREAKER_FAILURE_THRESHOLD": str(FAILURE_THRESHOLD),
    "DELIVERY_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["answers_503", "refuses"])
async def test_an_outage_of_ten_minutes_is_waited_out(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, how: str, chaos_long: bool
) -> None:
    events = 20_000 if chaos_long else 1_500
    ledger = DeliveryLedger()
    is_down = False

    def reply(record: RequestRecord, number: int) -> Reply:
        return status(503) if is_down else delay(0.02)

    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(
            apache_kafka.bootstrap,
            business_url=receiver.url,
            names=names,
            extra={**QUICK, **SCALED},
        )
        worker = await start_worker(env)
        await load.publish(events // 10)
        await receiver.wait_until(lambda: ledger.missing == 0, 60)

        async def failures() -> int:
            page = await destinations(worker)
            return sum(page["callback-api"]["failed"].values()) if page else 0

        async def is_over() -> bool:
            return await failures() >= FAILURE_THRESHOLD + TEN_MINUTES_OF_PROBES

        if how == "refuses":
            await receiver.refuse()
        is_down = True
        await load.publish(events - events // 10)
        await wait_until(is_over, 60, worker.log_tail)
        # What was in flight when it opened fails too; after that every request is a probe.
        assert await failures() < MAX_IN_FLIGHT + FAILURE_THRESHOLD + 2 * TEN_MINUTES_OF_PROBES
        receiver.max_concurrent = 0
        is_down = False
        await receiver.accept()
        await receiver.wait_until(lambda: ledger.missing == 0, 120)
        assert 1 < receiver.max_concurrent <= MAX_IN_FLIGHT
        letters = await apache_kafka.read_all(names.topic("dead-letter"))
    tally = report(f"ten_minutes_{how}", ledger)
    print(f"  at most {receiver.max_concurrent} at once after the recovery, allowed {MAX_IN_FLIGHT}")
    assert letters == []
    assert tally.duplicates == 0
