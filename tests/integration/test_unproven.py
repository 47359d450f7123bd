"""A receiver that rejects everything because of our configuration: nothing is given up, also over a restart."""

from __future__ import annotations

import json

import aiohttp
import pytest

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import status
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess


def event(id_: str) -> Record:
    return Record(event_value(id_, f"t{id_}"), key=id_.encode())


async def standing(worker: WorkerProcess) -> str:
    url = f"{worker.url}/destinations/callback-api"
    headers = {"Accept": "application/json"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as page:
        return str(json.loads(await page.text())["standing"])


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_rejections_wait_until_the_first_acceptance_which_outlives_a_restart(
    apache_kafka: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    changes = {
        "DELIVERY_RETRY_UNPROVEN_MAX_HOURS": "24",
        "DELIVERY_RETRY_POISON_ATTEMPTS": "2",
        "DELIVERY_RETRY_MAX_SECONDS": "1",
        "DELIVERY_BREAKER_OPEN_MAX_SECONDS": "1",
    }
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names, extra=changes)
    first = [f"e{number}" for number in range(6)]
    business_server.respond = lambda _record, _number: status(400, b"DisallowedHost")
    worker = await start_worker(env)
    await apache_kafka.publish(names.source, [event(id_) for id_ in first])
    await business_server.wait_for(20, 60)
    assert await standing(worker) == "unproven"
    assert "breaker.opened" in worker.log_text()
    await worker.terminate()

    business_server.respond = lambda _record, _number: status(400)
    worker = await start_worker(env)
    await business_server.wait_for(business_server.count + 6, 60)
    assert await apache_kafka.read_all(names.topic("dead-letter")) == []
    business_server.respond = lambda _record, _number: status(200)
    await business_server.wait_for(business_server.count + 6, 60)

    async def is_recorded() -> bool:
        records = await apache_kafka.read_all(names.topic("acceptances"))
        return b"callback-api" in {record.key for record in records}

    await wait_until(is_recorded, 30, "the acceptance is not recorded")
    await worker.terminate()

    business_server.respond = lambda _record, _number: status(400)
    worker = await start_worker(env)
    await apache_kafka.publish(names.source, [event("bad")])

    async def is_given_up() -> bool:
        return len(await apache_kafka.read_all(names.topic("dead-letter"))) == 1

    await wait_until(is_given_up, 60, "a proven destination's rejection did not count")
    assert await standing(worker) == "proven"
