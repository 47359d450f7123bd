"""Kafka goes away and comes back: nothing is lost, whichever way it went."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import Load
from tests.chaos.scene import QUICK, noting, report, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import always, delay

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("signal", ["sigterm", "sigkill"])
async def test_a_broker_that_restarts_costs_no_event(
    own_apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, signal: str, chaos_long: bool
) -> None:
    events, restarts = (20_000, 4) if chaos_long else (1_000, 1)
    broker = own_apache_kafka
    ledger = DeliveryLedger()
    await broker.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.02))), keep=False) as receiver,
        Load(broker.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(broker.bootstrap, business_url=receiver.url, names=names, extra=QUICK)
        worker = await start_worker(env)
        async with load.flowing(rate_per_second=200, at_least=events):
            for _ in range(restarts):
                await receiver.wait_for(receiver.count + (events // restarts // 2), 120)
                if signal == "sigkill":
                    broker.kill()
                else:
                    await broker.stop_async()
                await broker.start_async()
        await receiver.wait_until(lambda: ledger.missing == 0, 120)
        assert worker.is_running, worker.log_tail()
        await wait_until_all_done(broker, names, names.topic("callback-api"), 60)
    report(f"broker_{signal}", ledger)
