"""Transactions, offsets without a record, and partitions that lost records, on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.command import eventproc
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record, commit_without_metadata, delete_records, transaction
from tests.servers.receiver import Receiver
from tests.servers.worker import WorkerProcess

SECONDS = 60


def events(*ids: str) -> list[Record]:
    return [Record(event_value(id_, f"t-{id_}"), key=id_.encode(), partition=0) for id_ in ids]


async def aborted(broker: ApacheKafka, topic: str, records: Iterable[Record]) -> None:
    async with transaction(broker.bootstrap, topic, records) as producer:
        await producer.abort_transaction()


async def received(server: Receiver, *ids: str) -> None:
    await server.wait_until(lambda: set(ids) <= set(server.event_ids()), SECONDS)


async def metric(worker: WorkerProcess, name: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as page:
        lines = (await page.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + " ", name + "{")))


async def test_what_is_not_committed_is_not_delivered_and_not_in_the_way(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    broker, source = apache_kafka, names.source
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names)
    await broker.create_topics({source: 1})
    await aborted(broker, source, events("aborted-1"))
    await broker.publish(source, events("plain-1"))
    worker = await start_worker(env)
    await received(business_server, "plain-1")
    async with transaction(broker.bootstrap, source, events("committed-1", "committed-2")) as open_one:
        await broker.publish(source, events("plain-2"))
        await aborted(broker, source, events("aborted-2"))
        assert set(business_server.event_ids()) == {"plain-1"}, "it waits for the transaction before it"
        await open_one.commit_transaction()
    await received(business_server, "committed-1", "committed-2", "plain-2")
    await aborted(broker, source, events("aborted-3"))
    await broker.publish(source, events("plain-3"))
    await received(business_server, "plain-3")
    assert len(business_server.event_ids()) == 5
    assert "record.invalid" not in worker.log_text()


async def test_what_kafka_no_longer_has_is_reported_and_not_in_the_way(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    broker, source = apache_kafka, names.source
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names)
    await broker.create_topics({source: 1})
    worker = await start_worker(env)
    await broker.publish(source, events("e1"))
    await received(business_server, "e1")
    await aborted(broker, source, events("aborted"))
    end = (await broker.end_offsets(source))[0]
    await committed_is(broker, names, end)
    assert await metric(worker, "eventproc_source_lag") == 0
    await worker.terminate()

    await broker.publish(source, events("lost-1", "lost-2"))
    await delete_records(broker.bootstrap, source, end + 2)
    await broker.publish(source, events("e2"))
    worker = await start_worker(env)
    await received(business_server, "e2")
    assert (await metric(worker, "eventproc_expired_total")) == 2
    assert f"first_lost={end}" in worker.log_text().replace("'", "")
    await worker.terminate()

    await commit_without_metadata(broker.bootstrap, names.consumer_group, source, 1000)
    worker = await start_worker(env)
    await metric_is(worker, "eventproc_source_lag", 0)
    await broker.publish(source, events("e3"))
    await received(business_server, "e3")
    assert "partition.truncated" in worker.log_text()
    assert Counter(business_server.event_ids()) == Counter(["e1", "e2", "e3"]), (
        "the sinks know what they have delivered"
    )


async def test_another_consumer_in_the_group_is_reported_by_a_worker_and_by_doctor(
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    tmp_path: Path,
) -> None:
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names)
    await apache_kafka.create_topics({names.source: 2})
    worker = await start_worker(env)
    other = AIOKafkaConsumer(
        names.source,
        f"{names.prefix}invalid",
        bootstrap_servers=apache_kafka.bootstrap,
        group_id=names.consumer_group,
        client_id="another-program",
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
    )
    await asyncio.wait_for(other.start(), SECONDS)
    try:
        await asyncio.wait_for(worker_logs(worker, "group.foreign_member"), SECONDS)
        done = await eventproc(tmp_path, env, "doctor")
        assert f"another-program at 127.0.0.1 reads {names.prefix}invalid" in " ".join(done.stdout.split())
    finally:
        await other.stop()


async def worker_logs(worker: WorkerProcess, event: str) -> None:
    while event not in worker.log_text():
        await asyncio.sleep(0.1)


async def committed_is(broker: ApacheKafka, names: Names, offset: int) -> None:
    async def wait() -> None:
        while (await broker.committed(names.consumer_group, names.source))[0].offset != offset:
            await asyncio.sleep(0.1)

    await asyncio.wait_for(wait(), SECONDS)


async def metric_is(worker: WorkerProcess, name: str, value: float) -> None:
    async def wait() -> None:
        while await metric(worker, name) != value:
            await asyncio.sleep(0.1)

    await asyncio.wait_for(wait(), SECONDS)
