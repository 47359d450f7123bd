"""A pause from the command line, on real workers: over a restart, on all of them, and nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventproc.delivery.control import read_paused, set_paused
from eventproc.identifiers import DestinationId
from settings import load_settings
from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import for_event, status
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

BUSINESS = DestinationId("callback-api")
SOON_SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)


def event(number: int, transaction: str) -> Record:
    value = event_value(f"e{number}", transaction, client_name="acme")
    return Record(value, key=f"e{number}".encode())


async def gauge(worker: WorkerProcess, name: str) -> float:
    """A number that one worker tells of the business server."""
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    (value,) = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels["destination"] == BUSINESS
    ]
    return float(value)


async def test_a_pause_holds_on_every_worker_and_over_restarts_and_nothing_is_lost(  # noqa: PLR0917 - fixtures
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    clients = [noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"], seps=["sep24"])]
    env = anchor_env(
        broker.bootstrap, business_url=business_server.url, clients=clients, names=names, partitions=4
    )
    first = await start_worker(env)
    await broker.publish(names.source, [event(0, "t0")])
    await business_server.wait_for(1, SOON_SECONDS)

    reason = "their database moves"
    told = await eventproc(
        tmp_path, env, "destinations", "pause", BUSINESS, "--by", "ann", "--reason", reason, "--yes"
    )
    assert told.stdout == "paused callback-api\n"

    async def is_paused() -> bool:
        return await gauge(first, "eventproc_paused") == 1

    await wait_until(is_paused, SOON_SECONDS, "it did not come to hold")
    events = [event(number, f"t{number % 10}") for number in range(1, 21)]
    await broker.publish(names.source, events[:10])
    await wallet_server.wait_until(lambda: len(set(wallet_server.event_ids())) == 11, SOON_SECONDS)
    workers = [first, await start_worker(env)]
    await first.terminate()
    first.start()
    await first.wait_ready(SOON_SECONDS)
    await broker.publish(names.source, events[10:])
    await wallet_server.wait_until(lambda: len(set(wallet_server.event_ids())) == 21, SOON_SECONDS)

    async def all_is_in_hand() -> bool:
        return sum([await gauge(worker, "eventproc_waiting") for worker in workers]) == 20

    await wait_until(all_is_in_hand, SOON_SECONDS, "it did not come to hold")
    assert [await gauge(worker, "eventproc_paused") for worker in workers] == [1, 1]
    assert business_server.event_ids() == ["e0"], "nothing meanwhile, and no burst at the starts"

    asked = [part for worker in workers for part in ("--worker", worker.url)]
    shown = json.loads((await eventproc(tmp_path, env, "destinations", "status", "--json", *asked)).stdout)
    business, wallet = shown["destinations"]
    assert (business["state"], wallet["state"]) == ("paused", "closed")
    assert (business["lag"], wallet["lag"], business["partitions"]) == (20, 0, 4)
    assert business["paused"].pop("at").startswith("20")
    assert business["paused"] == {"by": "ann", "reason": reason}
    assert 0 < business["oldest_undelivered_seconds"] < 600
    assert wallet["paused"] is wallet["oldest_undelivered_at"] is None
    if broker.keeps_data:
        assert len(shown["members"]) == 2
    story = json.loads((await eventproc(tmp_path, env, "timeline", "t1", "--json")).stdout)
    (at_business,) = [one for one in story["events"][0]["destinations"] if one["destination"] == BUSINESS]
    assert (at_business["state"], at_business["held_by"]["what"]) == ("held_up", "pause")
    assert at_business["held_by"]["reason"] == reason

    await eventproc(tmp_path, env, "destinations", "resume", "callback*", "--yes")
    await business_server.wait_for(21, SOON_SECONDS)
    ids = business_server.event_ids()
    assert sorted(filter(None, ids)) == sorted(f"e{number}" for number in range(21)), "each once"
    for number in range(10):
        mine = [id_ for id_ in ids if id_ in {f"e{number}", f"e{number + 10}"}]
        assert mine == [f"e{number}", f"e{number + 10}"][-len(mine) :], "in order"

    async def nothing_is_left() -> bool:
        done = await eventproc(tmp_path, env, "destinations", "status", BUSINESS, "--json")
        (one,) = json.loads(done.stdout)["destinations"]
        return one["lag"] == 0 and one["paused"] is None and one["oldest_undelivered_at"] is None

    await wait_until(nothing_is_left, SOON_SECONDS, "it did not come to hold")
    log = "".join(worker.log_text() for worker in workers)
    assert "destination.paused" in log
    assert "destination.resumed" in log


async def test_lag_leaves_out_what_is_done_behind_a_stuck_event(
    apache_kafka: Broker, names: Names, start_worker: StartWorker, business_server: Receiver, tmp_path: Path
) -> None:
    """The embedded broker keeps no metadata beside an offset, so there everything behind it would count."""
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names, partitions=1)
    await start_worker(env)
    business_server.respond = for_event({"e1": status(503)})
    await apache_kafka.publish(names.source, [event(number, f"t{number}") for number in range(1, 31)])
    await business_server.wait_until(lambda: len(set(business_server.event_ids())) == 30, SOON_SECONDS)

    async def only_one_is_left() -> bool:
        done = await eventproc(tmp_path, env, "destinations", "status", "--json")
        (one,) = json.loads(done.stdout)["destinations"]
        return bool(one["lag"] == 1 and one["oldest_undelivered_seconds"] > 0)

    await wait_until(only_one_is_left, SOON_SECONDS, "it did not come to hold")
    (committed,) = (await apache_kafka.committed(names.consumer_group, names.topic(BUSINESS))).values()
    assert committed.offset == 0


async def test_a_pause_before_any_worker_makes_a_compacted_topic_and_is_read_back(
    broker: Broker, names: Names
) -> None:
    env = anchor_env(broker.bootstrap, business_url="http://127.0.0.1:1", names=names)
    settings = load_settings(env=env)
    wallet = DestinationId("client.é b.sep24")
    assert await read_paused(settings) == {}
    await set_paused(settings, [BUSINESS, wallet], True, "ann", "r")
    await set_paused(settings, [BUSINESS], True, "bob", "r2")
    found = await read_paused(settings)
    assert {id_: (pause.by, pause.reason) for id_, pause in found.items()} == {
        BUSINESS: ("bob", "r2"),
        wallet: ("ann", "r"),
    }
    await set_paused(settings, [BUSINESS], False, "ann", "")
    assert set(await read_paused(settings)) == {wallet}
    records = await broker.read_all(names.topic("control"))
    assert [record.partition for record in records] == [0, 0, 0, 0]
    assert records[-1].value is None


async def test_with_a_rate_limit_a_pause_and_a_stop_come_before_what_waits_for_its_turn(  # noqa: PLR0917 - fixtures
    apache_kafka: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    """57 requests were seen after the pause, and a stop of 11.9 s."""
    clients = [noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"], seps=["sep24"])]
    env = anchor_env(
        apache_kafka.bootstrap, business_url=business_server.url, clients=clients, names=names, partitions=1
    )
    worker = await start_worker({**env, "DELIVERY_RATE_LIMIT_PER_SECOND": "5"})
    await apache_kafka.publish(names.source, [event(number, f"t{number}") for number in range(200)])
    await business_server.wait_for(8, SOON_SECONDS)
    await eventproc(tmp_path, env, "destinations", "pause", BUSINESS, "--by", "ann", "--reason", "r", "--yes")

    async def is_paused() -> bool:
        return await gauge(worker, "eventproc_paused") == 1

    async def is_idle() -> bool:
        return await gauge(worker, "eventproc_in_flight") == 0

    await wait_until(is_paused, SOON_SECONDS, "it was not paused")
    at_pause = business_server.count
    await wait_until(is_idle, SOON_SECONDS, "it did not stop")
    begun = business_server.count
    assert begun < at_pause + 32, "what waited for its turn did not begin"
    await wallet_server.wait_for(wallet_server.count + 15, SOON_SECONDS)  # three seconds by its own rate
    assert business_server.count == begun

    await eventproc(tmp_path, env, "destinations", "resume", BUSINESS, "--yes")
    await business_server.wait_for(begun + 8, SOON_SECONDS)
    begun = business_server.count
    code, _ = await worker.terminate()
    assert code == 0
    assert business_server.count < begun + 32, "what waited for its turn stayed in Kafka"
    received = business_server.event_ids()
    assert len(received) == len(set(received))
