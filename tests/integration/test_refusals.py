"""Topics of ours that refuse records, are full, or disappear, under a real worker: each costs its own work alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record, configure_topic, delete_topics
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, for_event, status
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

SOON_SECONDS = 60.0
POISON = 160

pytestmark = pytest.mark.timeout(300)


def event(id_: str, transaction: str, **members: Any) -> Record:
    return Record(event_value(id_, transaction, **{"client_name": "acme"} | members), key=id_.encode())


async def readiness(worker: WorkerProcess) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/health/ready") as answer:
        return await answer.text()


async def metrics(worker: WorkerProcess) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as answer:
        return await answer.text()


async def test_dead_letters_that_cannot_be_written_stop_nobody(
    apache_kafka: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    env = anchor_env(
        apache_kafka.bootstrap,
        business_url=business_server.url,
        names=names,
        extra={"DELIVERY_RETRY_POISON_ATTEMPTS": "1"},
    )
    worker = await start_worker(env)
    letters = names.topic("dead-letter")
    poison = [f"p{number}" for number in range(POISON)]
    business_server.respond = for_event(dict.fromkeys(poison, status(422)))

    await configure_topic(apache_kafka.bootstrap, letters, max_message_bytes=100)
    await apache_kafka.publish(names.source, [event(id_, f"t{id_}") for id_ in poison])
    good = [f"g{number}" for number in range(20)]
    await apache_kafka.publish(names.source, [event(id_, f"t{id_}") for id_ in good])
    await business_server.wait_until(lambda: set(good) <= set(business_server.event_ids()), SOON_SECONDS)

    async def all_wait() -> bool:
        figures = await metrics(worker)
        return (
            f'eventproc_dead_letters_unwritten{{destination="callback-api"}} {POISON}.0' in figures
            and f'eventproc_topic_not_writable_seconds{{topic="{letters}"}}' in figures
        )

    await wait_until(all_wait, SOON_SECONDS, "the dead letters that wait are not counted")
    ready = await readiness(worker)
    assert f"topic {letters} takes no records since" in ready
    assert "MessageSizeTooLarge" in ready

    await configure_topic(apache_kafka.bootstrap, letters, max_message_bytes=1_000_000)

    async def is_well_again() -> bool:
        written = len(await apache_kafka.read_all(letters))
        return written == POISON and '"ready":true' in (await readiness(worker)).replace(" ", "")

    await wait_until(is_well_again, SOON_SECONDS, "the dead letters after the repair")
    assert Counter(business_server.event_ids()) == Counter(poison + good), "one attempt each"
    log = worker.log_text()
    assert log.count("topic.not_writable") == log.count("topic.writable") == 1
    assert "OutOfOrderSequenceNumber" not in log
    assert "worker.stuck" not in log


async def test_a_deleted_control_topic_is_made_again_and_obeyed(
    apache_kafka: Broker, names: Names, start_worker: StartWorker, business_server: Receiver, tmp_path: Path
) -> None:
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names)
    worker = await start_worker(env)
    pause = ("destinations", "pause", "callback-api", "--by", "ann", "--reason", "r", "--yes")
    control = names.topic("control")
    await configure_topic(apache_kafka.bootstrap, control, max_message_bytes=100)
    refused = await eventproc(tmp_path, env, *pause, code=3)
    assert f"Topic {control} does not accept the record: MessageSizeTooLarge" in refused.stderr
    await configure_topic(apache_kafka.bootstrap, control, cleanup_policy="compact")
    await eventproc(tmp_path, env, *pause)

    async def is_paused(value: int) -> bool:
        return f'eventproc_paused{{destination="callback-api"}} {value}.0' in await metrics(worker)

    await wait_until(lambda: is_paused(1), SOON_SECONDS, "the pause")
    await delete_topics(apache_kafka.bootstrap, names.topic("control"), names.topic("attempts"))
    await wait_until(lambda: is_paused(0), SOON_SECONDS, "the topic says nothing of a pause any more")
    await eventproc(tmp_path, env, *pause)
    await wait_until(lambda: is_paused(1), SOON_SECONDS, "the pause in the new topic")

    async def are_there() -> bool:
        return {names.topic("control"), names.topic("attempts")} <= await apache_kafka.topics()

    await wait_until(are_there, SOON_SECONDS, "the topics, made again")
    log = worker.log_text()
    assert "topic.deleted" in log
    assert "topic.created_again" in log


def is_in_order(receiver: Receiver) -> bool:
    """Whether the first deliveries of each transaction's events came in their order."""
    lanes: dict[tuple[str, int], list[str]] = {}
    for path, id_ in dict.fromkeys((one.path, one.event_id or "") for one in receiver.requests):
        lanes.setdefault((path, int(id_[1:]) % 7), []).append(id_)
    return all(lane == sorted(lane) for lane in lanes.values())


async def test_deleted_topics_of_destinations_are_made_again_and_delivered_from(
    apache_kafka: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
) -> None:
    """One is idle, one under load; what was in them is gone, all that is routed afterwards comes."""
    clients = [
        noncustodial_client(
            name, f"{wallet_server.url}/{name}", domains=[f"{name}.example.com"], seps=["sep24"]
        )
        for name in ("idle", "busy")
    ]
    env = anchor_env(
        apache_kafka.bootstrap,
        business_url=business_server.url,
        clients=clients,
        names=names,
        extra={"TOPICS_PARTITIONS": "2"},
    )
    workers = [await start_worker(env), await start_worker(env)]
    topics = {names.topic(f"client.{name}.sep24") for name in ("idle", "busy")}
    published: list[str] = []

    async def publish(client: str, count: int) -> set[str]:
        ids = [f"e{number:05}" for number in range(len(published), len(published) + count)]
        published.extend(ids)
        await apache_kafka.publish(
            names.source, [event(id_, f"t{int(id_[1:]) % 7}", client_name=client) for id_ in ids]
        )
        return set(ids)

    before = await publish("idle", 50)
    await wallet_server.wait_until(lambda: before <= set(wallet_server.event_ids()), SOON_SECONDS)
    wallet_server.respond = lambda _record, _number: Answer(delay_seconds=0.2)
    await publish("busy", 500)
    await wallet_server.wait_until(lambda: wallet_server.count > 60, SOON_SECONDS)
    await delete_topics(apache_kafka.bootstrap, *topics)

    async def are_there(wanted: bool) -> bool:
        return bool(topics & await apache_kafka.topics()) is wanted

    await wait_until(lambda: are_there(wanted=False), SOON_SECONDS, "the deletion")
    wallet_server.respond = lambda _record, _number: Answer()
    later = await publish("idle", 100) | await publish("busy", 100)
    await business_server.wait_until(lambda: later <= set(business_server.event_ids()), SOON_SECONDS)
    await wait_until(lambda: are_there(wanted=True), SOON_SECONDS, "the topics, made again")
    later |= await publish("busy", 200) | await publish("idle", 100)
    await wallet_server.wait_until(lambda: later <= set(wallet_server.event_ids()), SOON_SECONDS)
    await business_server.wait_until(lambda: set(published) <= set(business_server.event_ids()), SOON_SECONDS)
    assert is_in_order(wallet_server)
    assert is_in_order(business_server)
    assert business_server.count == len(published), "the other destination noticed nothing"
    counts = Counter(wallet_server.event_ids())
    assert {id_: counts[id_] for id_ in later if counts[id_] != 1} == {}
    logs = [worker.log_text() for worker in workers]
    assert [log.count("event='topic.deleted'") for log in logs] == [2, 2]
    assert "event='topic.created_again'" in "".join(logs)
