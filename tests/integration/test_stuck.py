"""A worker that has work and does not get on with it says so, and leaves for its supervisor to start anew."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka, Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, Hang, always

EVENT = {"type": "transaction_created", "id": "e", "transaction": {"id": "t"}}


async def test_a_stuck_worker_is_not_ready_and_then_leaves(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    business_server.respond = always(Hang())
    extra = {"DELIVERY_REQUEST_TIMEOUT_SECONDS": "600", "DELIVERY_STUCK_AFTER_SECONDS": "6"}
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=extra)
    worker = await start_worker(env)
    await broker.publish(names.source, [Record(json.dumps(EVENT).encode(), key=b"e")])
    await business_server.wait_for(1, 20)
    problems = await asyncio.wait_for(_until_not_ready(worker.url), 15)
    assert "callback-api does not get on" in problems
    assert await worker.wait(60) not in (0, None)
    assert "worker.stuck" in worker.log_text()


async def test_an_outage_is_not_taken_for_a_stuck_worker(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    await business_server.refuse()
    extra = {"DELIVERY_STUCK_AFTER_SECONDS": "2", "DELIVERY_RETRY_INITIAL_SECONDS": "3"}
    env = anchor_env(broker.bootstrap, business_url=business_server.url, names=names, extra=extra)
    worker = await start_worker(env)
    await broker.publish(names.source, [Record(json.dumps(EVENT).encode(), key=b"e")])
    await asyncio.wait_for(_until_failed(worker.url, 3), 30)
    assert worker.is_running
    await business_server.accept()
    await business_server.wait_for(1, 60)


@pytest.mark.timeout(300)
async def test_an_unreachable_kafka_is_the_one_reason_and_no_worker_ends_for_it(
    own_apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    """An event that waits for its receiver is what was named as the cause before."""
    business_server.respond = always(Hang())
    extra = {"DELIVERY_STUCK_AFTER_SECONDS": "6", "DELIVERY_REQUEST_TIMEOUT_SECONDS": "600"}
    env = anchor_env(own_apache_kafka.bootstrap, business_url=business_server.url, names=names, extra=extra)
    await own_apache_kafka.create_topics({names.source: 1})
    worker = await start_worker(env)
    own_apache_kafka.kill()
    problems = json.loads(await asyncio.wait_for(_until_not_ready(worker.url), 60))["problems"]
    assert len(problems) == 1
    assert problems[0].startswith("Kafka is unreachable since ")
    assert own_apache_kafka.bootstrap in problems[0]
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as page:
        assert "eventproc_kafka_unreachable_seconds 0.0" not in await page.text()
    business_server.respond = always(Answer())
    own_apache_kafka.start()
    await worker.wait_ready()
    await own_apache_kafka.publish(names.source, [Record(json.dumps(EVENT).encode(), key=b"e")])
    await business_server.wait_for(1, 60)
    log = worker.log_text()
    assert (log.count("kafka.unreachable"), log.count("kafka.reachable")) == (1, 1)
    assert "worker.stuck" not in log


async def _until_not_ready(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/health/ready") as page:
                if page.status == 503:
                    return await page.text()
            await asyncio.sleep(0.2)


async def _until_failed(url: str, count: int) -> None:
    while await _failed(url) < count:
        await asyncio.sleep(0.2)


async def _failed(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/destinations/") as page:
        return sum(sum(one["failed"].values()) for one in await page.json())
