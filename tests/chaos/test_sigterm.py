"""SIGTERM ends the worker in time, whatever else is wrong at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener

from eventproc.delivery.bounded_kafka import describe_group
from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import Load
from tests.chaos.scene import QUICK, destinations, noting, report, wait_until_all_done
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import admin_client
from tests.servers.receiver import Receiver
from tests.servers.replies import OK, Hang, Reply, always, delay
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.timeout(180)]

SHUTDOWN_SECONDS = 4.0
PATIENT_SECONDS = 20.0
"""Drain, commit, timeline and producer each wait for a broker that is gone, up to their own bound."""
EXTRA_SECONDS = 5.0
MAX_WAITING = 200
SESSION_SECONDS = 30.0

SETTINGS = {
    **QUICK,
    "DELIVERY_DRAIN_TIMEOUT_SECONDS": "2",
    "DELIVERY_WORKER_SHUTDOWN_TIMEOUT_SECONDS": f"{SHUTDOWN_SECONDS:g}",
    "DELIVERY_MAX_WAITING": f"{MAX_WAITING}",
    "DELIVERY_MAX_IN_FLIGHT": "32",
}


async def test_sigterm_ends_a_worker_whose_receiver_hangs(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker
) -> None:
    ledger = DeliveryLedger()
    is_mended = False

    def reply(record: RequestRecord, number: int) -> Reply:
        return OK if is_mended else Hang()

    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, reply), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=SETTINGS)
        worker = await start_worker(env)
        await load.publish(300)
        await receiver.wait_until(lambda: receiver.concurrent >= 20, 30)
        await _terminate(worker, "hung_receiver")
        is_mended = True
        await start_worker(env)
        await receiver.wait_until(lambda: ledger.missing == 0, 60)
    report("sigterm_hung_receiver", ledger)


async def test_sigterm_ends_workers_whose_broker_is_gone(
    own_apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker
) -> None:
    """One of them at once, the other when it has noticed and waits for the broker; and not by force."""
    ledger = DeliveryLedger()
    broker = own_apache_kafka
    await broker.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.2))), keep=False) as receiver,
        Load(broker.bootstrap, names.source, ledger) as load,
    ):
        patient = {**SETTINGS, "DELIVERY_WORKER_SHUTDOWN_TIMEOUT_SECONDS": f"{PATIENT_SECONDS:g}"}
        env = anchor_env(broker.bootstrap, business_url=receiver.url, names=names, extra=patient)
        first, second = await start_worker(env), await start_worker(env)
        await load.publish(400)
        await receiver.wait_for(100, 30)
        broker.kill()
        assert await _terminate(first, "broker_gone_at_once", PATIENT_SECONDS) == 0
        await _wait_for_log(second, "commit.not_taken")
        assert await _terminate(second, "broker_gone_for_a_while", PATIENT_SECONDS) == 0
        await broker.start_async()
        await start_worker(env)
        await receiver.wait_until(lambda: ledger.missing == 0, 60)
    report("sigterm_broker_gone", ledger)


@pytest.mark.parametrize("who", ["old", "young"])
async def test_sigterm_ends_a_worker_during_a_rebalance(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, who: str
) -> None:
    ledger = DeliveryLedger()
    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.2))), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=SETTINGS)
        old = await start_worker(env)
        await load.publish(1000)
        await receiver.wait_for(50, 30)
        async with WorkerProcess(env) as young:
            await _wait_for_log(young, "(Re-)joining group")
            await _terminate(old if who == "old" else young, f"rebalance_{who}")
            await receiver.wait_until(lambda: ledger.missing == 0, 60)
            await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
    assert report(f"sigterm_rebalance_{who}", ledger).duplicates == 0


async def test_sigterm_ends_a_worker_with_a_full_backlog(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker
) -> None:
    ledger = DeliveryLedger()
    await apache_kafka.create_topics({names.source: 2})
    async with (
        Receiver(respond=noting(ledger, always(delay(0.1))), keep=False) as receiver,
        Load(apache_kafka.bootstrap, names.source, ledger) as load,
    ):
        env = anchor_env(apache_kafka.bootstrap, business_url=receiver.url, names=names, extra=SETTINGS)
        worker = await start_worker(env)
        await load.publish(2000)

        async def is_full() -> bool:
            page = await destinations(worker)
            return bool(page) and page["callback-api"]["waiting"] > MAX_WAITING

        await wait_until(is_full, 30, worker.log_tail)
        await _terminate(worker, "full_backlog")
        await start_worker(env)
        await receiver.wait_until(lambda: ledger.missing == 0, 60)
        await wait_until_all_done(apache_kafka, names, names.topic("callback-api"), 30)
    assert report("sigterm_full_backlog", ledger).duplicates == 0


@pytest.mark.parametrize("moment", ["Waiting for tables", "(Re-)joining group"])
async def test_sigterm_ends_a_worker_while_it_joins_and_the_others_go_on_without_it(
    apache_kafka: ApacheKafka, names: Names, moment: str
) -> None:
    """Kafka answers nobody who joins before the slowest member lets go, and here that is after the worker's end."""
    await apache_kafka.create_topics({names.source: 2})
    env = anchor_env(apache_kafka.bootstrap, business_url="http://127.0.0.1:9", names=names, extra=SETTINGS)
    let_go = asyncio.Event()
    async with _slow_member(apache_kafka.bootstrap, names, let_go) as slow, WorkerProcess(env) as worker:
        await _wait_for_log(worker, moment)
        assert await _terminate(worker, "joining") == 0, worker.log_tail()
        let_go.set()

        async def is_alone() -> bool:
            async with admin_client(apache_kafka.bootstrap) as admin:
                group = await describe_group(admin, names.consumer_group)
            return group["state"] == "Stable" and len(group["members"]) == 1 and len(slow.assignment()) == 2

        await wait_until(is_alone, SESSION_SECONDS / 2, worker.log_tail)


@asynccontextmanager
async def _slow_member(
    bootstrap: str, names: Names, let_go: asyncio.Event
) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of the workers' group that holds every rebalance up until it is told."""

    class Slow(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            if revoked:
                await let_go.wait()

        async def on_partitions_assigned(self, assigned: Any) -> None:
            """It reads nothing."""

    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=names.consumer_group,
        session_timeout_ms=int(SESSION_SECONDS * 1000),
        heartbeat_interval_ms=100,
    )
    await consumer.start()
    try:
        consumer.subscribe([names.source], listener=Slow())

        async def has_all() -> bool:
            return len(consumer.assignment()) == 2

        await wait_until(has_all, 30, "the slow member has no partitions")
        yield consumer
    finally:
        let_go.set()
        await consumer.stop()


async def _terminate(worker: WorkerProcess, name: str, shutdown_seconds: float = SHUTDOWN_SECONDS) -> int:
    allowed = shutdown_seconds + EXTRA_SECONDS
    code, seconds = await worker.terminate(allowed)
    print(f"\n  sigterm {name}: exit code {code} after {seconds:.1f} s, allowed {allowed:g}")
    return code


async def _wait_for_log(worker: WorkerProcess, text: str) -> None:
    async def is_there() -> bool:
        return text in worker.log_text()

    await wait_until(is_there, 60, worker.log_tail)
