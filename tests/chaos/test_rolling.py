"""Workers come and go in good order: nothing lost, and nothing twice."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import BUSINESS, SEP24, Load
from tests.chaos.scene import QUICK, destinations, noting, report, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import always, delay
from tests.servers.worker import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

SHUTDOWN_SECONDS = 35.0


@pytest.mark.timeout(900)
async def test_scaling_and_a_rolling_restart_repeat_nothing(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, chaos_long: bool
) -> None:
    """One worker, three, each of the three anew, one again; under load all the time."""
    events, rounds = (20_000, 3) if chaos_long else (1_500, 1)
    ledger = DeliveryLedger()
    await apache_kafka.create_topics({names.source: 6})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.05))), keep=False) as receiver,
        Load(
            apache_kafka.bootstrap, names.source, ledger, destinations=[BUSINESS, SEP24], client="w"
        ) as load,
    ):
        clients = [noncustodial_client("w", receiver.url, domains=["w.example.com"], seps=["sep24"])]
        env = anchor_env(
            apache_kafka.bootstrap,
            business_url=receiver.url,
            clients=clients,
            names=names,
            partitions=6,
            extra=QUICK,
        )
        workers = [await start_worker(env)]

        async def goes_on() -> None:
            await receiver.wait_for(receiver.count + 60, 60)

        async with load.flowing(rate_per_second=150, at_least=events):
            for _ in range(rounds):
                while len(workers) < 3:
                    workers.append(await start_worker(env))
                    await goes_on()
                for _worker in range(3):
                    await _end(workers.pop(0))
                    workers.append(await start_worker(env))
                    await goes_on()
                while len(workers) > 1:
                    await _end(workers.pop(0))
                    await goes_on()
        await receiver.wait_until(lambda: ledger.missing == 0, 120)
        for topic in ("callback-api", "client.w.sep24"):
            await wait_until_all_done(apache_kafka, names, names.topic(topic), 30)
    assert report("rolling_restart_and_scaling", ledger).duplicates == 0


async def test_a_worker_without_a_partition_is_ready_to_stand_in(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker
) -> None:
    """Not ready, it would hold up a rolling update for ever; and it takes over when the other one leaves."""
    ledger = DeliveryLedger()
    await apache_kafka.create_topics({names.source: 1})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.05))), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(
            apache_kafka.bootstrap, business_url=receiver.url, names=names, partitions=1, extra=QUICK
        )
        workers = [await start_worker(env), await start_worker(env)]
        shares = [(await destinations(worker))["callback-api"]["partitions"] for worker in workers]
        assert sorted(shares) == [[], [0]]
        await load.publish(100)
        await receiver.wait_for(20, 30)
        await _end(workers[shares.index([0])])
        await receiver.wait_until(lambda: ledger.missing == 0, 30)
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
    assert report("stand_in", ledger).duplicates == 0


async def _end(worker: WorkerProcess) -> None:
    code, _ = await worker.terminate(SHUTDOWN_SECONDS)
    assert code == 0, worker.log_tail()
