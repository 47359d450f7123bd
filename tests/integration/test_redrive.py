"""Dead letters and their redrive through a real worker and the real command line."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventproc.delivery.held_lanes import HeldLanes
from eventproc.identifiers import DestinationId, LaneKey
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

SOON = {"DELIVERY_RETRY_POISON_ATTEMPTS": "2", "DELIVERY_RETRY_INITIAL_SECONDS": "0.05"}
HOLD = SOON | {"DELIVERY_ON_DEAD_LETTER": "hold_transaction"}


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Any]:
    """``eventproc deadletter …`` as a process, with exactly the environment given."""

    async def run(env: Mapping[str, str], *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return await eventproc(tmp_path, env, "deadletter", *arguments, code=code)

    return run


def event(event_id: str, transaction: str, **members: Any) -> Record:
    return Record(event_value(event_id, transaction, client_name="acme", **members), key=event_id.encode())


async def letters_of(broker: Broker, names: Names, count: int) -> list[Record]:
    """The dead-letter topic, once it has that many records."""

    async def wait() -> list[Record]:
        while True:
            records = await broker.read_all(names.topic("dead-letter"))
            if len(records) >= count:
                return records
            await asyncio.sleep(0.1)

    return await asyncio.wait_for(wait(), 30)


async def test_a_dead_letter_is_listed_shown_redriven_and_gone(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    wallet_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    clients = [noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"])]
    env = anchor_env(broker.bootstrap, clients=clients, names=names, extra=SOON)
    await cli(env, "list")  # before any worker: the topic is not there, and is not made
    assert names.topic("dead-letter") not in await broker.topics()
    wallet_server.respond = for_event({"bad": status(422, b"no such \x1b[31mtransaction")})
    await start_worker(env)
    await broker.publish(names.source, [event("bad", "t"), event("good", "u")])
    (letter,) = await letters_of(broker, names, 1)
    destination = "client.acme.sep24"
    assert {
        name: letter.headers[f"dead-letter-{name}"] for name in ("reason", "attempts", "last-status")
    } == {
        "reason": b"rejected: HTTP 422",
        "attempts": b"2",
        "last-status": b"422",
    }
    assert letter.headers["dead-letter-response"] == b"no such \x1b[31mtransaction"
    assert letter.headers["dead-letter-destination"] == destination.encode()
    assert letter.headers["source-topic"] == names.source.encode()

    (listed,) = json.loads((await cli(env, "list", "--json")).stdout)
    assert listed.pop("at").encode() == letter.headers["dead-letter-at"]
    assert listed == {
        "event_id": "bad",
        "source": f"{names.source}/{letter.headers['source-partition'].decode()}/0",
        "transaction_id": "t",
        "destination": destination,
        "reason": "rejected",
        "attempts": 2,
        "status": 422,
    }
    shown = (await cli(env, "show", "bad")).stdout
    assert "no such \\x1b[31mtransaction" in shown
    assert '"client_name": "acme"' in shown
    ends = await broker.end_offsets(names.topic(destination))
    dry = await cli(env, "redrive", "--event-id", "bad", "--dry-run")
    assert "would be sent" in dry.stdout
    assert await broker.end_offsets(names.topic(destination)) == ends
    assert len(await broker.read_all(names.topic("dead-letter"))) == 1

    wallet_server.respond = for_event({})
    wallet_server.clear()
    done = json.loads((await cli(env, "redrive", "--transaction-id", "t", "--yes", "--json")).stdout)
    (request,) = await wallet_server.wait_for(1, 20)
    assert request.verified, request.problem
    assert request.event_id == "bad"
    assert request.headers["X-Event-Redriven"] == done["at"]
    assert [one["event_id"] for one in done["sent"]] == ["bad"]
    assert (await cli(env, "list")).stdout == "No dead letter waits.\n"
    await cli(env, "redrive", "--all", "--yes", code=1)
    (redriven,) = [
        r for r in await broker.read_all(names.topic(destination)) if r.headers.get("redriven") is not None
    ]
    assert redriven.value == letter.value
    assert redriven.key == b"t"
    assert not any(name.startswith("dead-letter") for name in redriven.headers)


async def test_a_redriven_event_that_fails_again_waits_again(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=SOON)
    business_server.respond = for_event({"bad": status(422)})
    await start_worker(env)
    await broker.publish(names.source, [event("bad", "t")])
    await letters_of(broker, names, 1)
    await cli(env, "redrive", "--all", "--yes")
    await letters_of(broker, names, 3)
    (entry,) = json.loads((await cli(env, "show", "bad", "--json")).stdout)
    assert entry["redriven_before"] is not None
    business_server.respond = for_event({})
    business_server.clear()
    await cli(env, "redrive", "--status", "422", "--yes")
    (request,) = await business_server.wait_for(1, 20)
    assert request.headers["X-Event-Redriven"] > entry["redriven_before"]
    assert json.loads((await cli(env, "list", "--json")).stdout) == []


async def test_records_that_share_an_event_id_are_each_redriven_once(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=SOON)
    business_server.respond = for_event({"same": status(422)})
    await start_worker(env)
    await broker.publish(names.source, [event("same", f"t{number}") for number in range(3)])
    await letters_of(broker, names, 3)
    listed = json.loads((await cli(env, "list", "--json")).stdout)
    places = {
        f"{names.source}/{partition}/{offset}"
        for partition, offset in _places(await letters_of(broker, names, 3))
    }
    assert {one["source"] for one in listed} == places
    assert len(places) == 3
    business_server.respond = for_event({})
    business_server.clear()
    await cli(env, "redrive", "--all", code=1)  # no terminal, no --yes
    assert len(await broker.read_all(names.topic("dead-letter"))) == 3
    await cli(env, "redrive", "--source", listed[1]["source"], "--yes")
    done = json.loads((await cli(env, "redrive", "--event-id", "same", "--yes", "--json")).stdout)
    assert {one["source"] for one in done["sent"]} == places - {listed[1]["source"]}
    requests = await business_server.wait_for(3, 20)
    assert sorted(json.loads(request.body)["payload"]["transaction"]["id"] for request in requests) == [
        "t0",
        "t1",
        "t2",
    ]
    assert json.loads((await cli(env, "list", "--json")).stdout) == []


async def test_every_worker_and_the_command_line_have_the_same_number_of_letters_that_wait(
    apache_kafka: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names, extra=SOON)
    bad = [f"bad{number}" for number in range(30)]
    business_server.respond = for_event(dict.fromkeys(bad, status(422)))
    workers = [await start_worker(env), await start_worker(env)]
    await apache_kafka.publish(names.source, [event(id_, f"t{id_}") for id_ in bad])
    await letters_of(apache_kafka, names, 30)

    async def workers_count(number: int) -> None:
        for worker in workers:
            await wait_until(partial(_counts, worker, number), 60, f"{worker.url}: {number}")

    await workers_count(30)
    code, _ = await workers.pop().terminate()
    assert code == 0
    workers.append(await start_worker(env))
    await workers_count(30)
    business_server.respond = for_event({})
    first = [argument for id_ in bad[:10] for argument in ("--event-id", id_)]
    await cli(env, "redrive", *first, "--yes")
    await workers_count(20)
    assert len(json.loads((await cli(env, "list", "--json")).stdout)) == 20
    shown = await eventproc(workers[0].directory, env, "destinations", "status", "--json")
    assert json.loads(shown.stdout)["destinations"][0]["dead_letters"] == 20
    await cli(env, "redrive", "--all", "--yes")
    await workers_count(0)


async def _counts(worker: WorkerProcess, number: int) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as answer:
        row = 'eventproc_dead_letters_waiting{destination="callback-api"}'
        return f"{row} {number}.0\n" in await answer.text()


def _places(letters: list[Record]) -> list[tuple[int, int]]:
    return [
        (int(letter.headers["source-partition"]), int(letter.headers["source-offset"])) for letter in letters
    ]


async def test_a_held_transaction_stays_held_over_a_restart_until_its_redrive(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=HOLD)
    business_server.respond = for_event({"e1": status(422)})
    worker = await start_worker(env)
    await broker.publish(names.source, [event("e1", "t"), event("e2", "t")])
    await letters_of(broker, names, 2)
    code, _ = await worker.terminate()
    assert code == 0
    business_server.respond = for_event({})
    await start_worker(env)
    await broker.publish(names.source, [event("e3", "t"), event("other", "u")])
    letters = await letters_of(broker, names, 3)
    assert [letter.headers["event-id"] for letter in letters] == [b"e1", b"e2", b"e3"]
    assert letters[2].headers["dead-letter-reason"].startswith(b"held-behind-dead-letter")
    await business_server.wait_until(lambda: "other" in business_server.event_ids(), 20)
    assert {"e2", "e3"}.isdisjoint(business_server.event_ids())

    refused = await cli(env, "redrive", "--event-id", "e3", code=1)
    assert "would overtake event e1" in refused.stderr
    business_server.clear()
    await cli(env, "redrive", "--transaction-id", "t", "--yes")
    await broker.publish(names.source, [event("e4", "t")])
    requests = await business_server.wait_for(4, 30)
    assert [request.event_id for request in requests] == ["e1", "e2", "e3", "e4"]
    assert ["X-Event-Redriven" in request.headers for request in requests] == [True, True, True, False]
    assert business_server.unverified == []
    assert json.loads((await cli(env, "list", "--json")).stdout) == []


async def test_what_waited_before_a_redrive_does_not_overtake_it(
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    cli: Callable[..., Any],
) -> None:
    """The redrive runs while no worker does: e2 stands before the redriven e1 in the destination's topic."""
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=HOLD)
    business_server.respond = for_event({"e1": status(422)})
    worker = await start_worker(env)
    await broker.publish(names.source, [event("e1", "t")])
    await letters_of(broker, names, 1)
    await worker.terminate()
    # What a router on another worker would have written meanwhile.
    copy = event("e2", "t")
    headers = {"event-id": b"e2", "source-topic": b"another", "source-partition": b"0", "source-offset": b"1"}
    await broker.publish(names.topic("callback-api"), [Record(copy.value, key=b"t", headers=headers)])
    await cli(env, "redrive", "--all", "--yes")
    business_server.respond = for_event({})
    business_server.clear()
    await start_worker(env)
    await business_server.wait_for(1, 20)
    letters = await letters_of(broker, names, 3)
    assert letters[2].headers["event-id"] == b"e2"
    assert business_server.event_ids() == ["e1"]
    await cli(env, "redrive", "--all", "--yes")
    await business_server.wait_for(2, 20)
    assert business_server.event_ids() == ["e1", "e2"]


async def test_a_broker_that_is_away_is_exit_code_3(names: Names, cli: Callable[..., Any]) -> None:
    env = anchor_env("127.0.0.1:1", business_url="http://127.0.0.1:2", names=names)
    done = await cli(env, "list", code=3)
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_held_lanes_knows_all_that_was_written_before_it_was_asked(
    broker: Broker, names: Names
) -> None:
    topic = names.topic("dead-letter")
    await broker.create_topics({topic: 1})
    settings = load_settings(env=anchor_env(broker.bootstrap, business_url="http://127.0.0.1:2", names=names))
    held = HeldLanes(settings, topic)
    current = asyncio.Event()
    await held.start()
    try:
        held.refresh(current.set)
        assert not held.is_current
        await asyncio.wait_for(current.wait(), 20)
        for number in range(5):
            headers = {"dead-letter-destination": b"d", "dead-letter-lane": b"t%d" % number}
            letters = [Record(b"x", key=b"k%d-%d" % (number, n), headers=headers) for n in range(20)]
            await broker.publish(topic, letters)
            await asyncio.wait_for(held.caught_up(), 20)
            assert held.is_held((DestinationId("d"), LaneKey(f"t{number}")), 0, 0, None)
        assert not held.is_held((DestinationId("d"), LaneKey("t5")), 0, 0, None)
    finally:
        await held.stop()
