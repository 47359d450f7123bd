"""SIGKILL of the worker: nothing lost, order kept, little repeated."""

from __future__ import annotations

import random

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import BUSINESS, SEP24, Load
from tests.chaos.scene import QUICK, noting, report, wait_until_all_done, wait_until_done_but
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import ApacheKafka
from tests.servers.receiver import Receiver
from tests.servers.replies import OK, Hang, Reply, always, delay
from tests.servers.request_record import RequestRecord

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

MAX_IN_FLIGHT = 64


@pytest.mark.timeout(900)
async def test_a_killed_worker_loses_nothing_and_repeats_little(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, chaos_long: bool
) -> None:
    """Commits come more often than a receiver answers, so what a kill repeats is what was in flight."""
    events, kills = (20_000, 12) if chaos_long else (1_500, 4)
    rng = random.Random(1)
    ledger = DeliveryLedger()
    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.1))), keep=False) as receiver,
        Load(
            apache_kafka.bootstrap, names.source, ledger, destinations=[BUSINESS, SEP24], client="w"
        ) as load,
    ):
        clients = [noncustodial_client("w", receiver.url, domains=["w.example.com"], seps=["sep24"])]
        extra = {**QUICK, "DELIVERY_COMMIT_INTERVAL_SECONDS": "0.05"}
        env = anchor_env(
            apache_kafka.bootstrap, business_url=receiver.url, clients=clients, names=names, extra=extra
        )
        worker = await start_worker(env)
        async with load.flowing(rate_per_second=300, at_least=events):
            for _ in range(kills):
                share = events // kills if chaos_long else 200
                await receiver.wait_for(receiver.count + rng.randint(share // 2, share), 120)
                worker.kill()
                worker.start()
                await worker.wait_ready()
        await receiver.wait_until(lambda: ledger.missing == 0, 120)
        for topic in ("callback-api", "client.w.sep24"):
            await wait_until_all_done(apache_kafka, names, names.topic(topic), 30)
    report("sigkill", ledger)
    for destination in (BUSINESS, SEP24):
        duplicates = ledger.duplicates_at(destination)
        print(f"  {destination}: {duplicates / kills:.0f} duplicates a kill, {kills} kills")
        assert duplicates <= 2 * MAX_IN_FLIGHT * kills


@pytest.mark.timeout(600)
async def test_what_was_delivered_behind_a_stuck_event_does_not_come_again(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, chaos_long: bool
) -> None:
    events = 10_000 if chaos_long else 2_000
    ledger = DeliveryLedger()
    stuck = "e0"
    is_mended = False

    def reply(record: RequestRecord, number: int) -> Reply:
        return Hang() if record.event_id == stuck and not is_mended else OK

    await apache_kafka.create_topics({names.source: 1})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger, steps=1) as load,
    ):
        extra = {**QUICK, "DELIVERY_REQUEST_TIMEOUT_SECONDS": "300"}
        env = anchor_env(
            apache_kafka.bootstrap, business_url=receiver.url, names=names, partitions=1, extra=extra
        )
        worker = await start_worker(env)
        topic = names.topic("callback-api")
        await load.publish(1 + events)
        await receiver.wait_until(lambda: ledger.missing == 1, 120)
        await wait_until_done_but(apache_kafka, names, topic, 1, 30)
        assert (await apache_kafka.committed(names.consumer_group, topic))[0].offset == 0
        worker.kill()
        is_mended = True
        worker.start()
        await worker.wait_ready()
        # These stand behind all others in the one partition: when they are done, nothing comes again.
        await load.publish(50)
        await wait_until_all_done(apache_kafka, names, topic, 60)
    tally = report("stuck_head_sigkill", ledger)
    assert ledger.times(BUSINESS, stuck) == 1
    assert tally.duplicates <= MAX_IN_FLIGHT
