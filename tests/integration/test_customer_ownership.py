"""Whose a ``customer_updated`` is, by two real workers that learn at the same time, one of them killed in between."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import StartWorker
from tests.servers.anchor_env import TEST_SEED, Names, anchor_env, noncustodial_client
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver, wallet

CUSTOMERS = 40
NOW_MS = 1_795_500_000_000
CLIENTS = ("a", "b")

pytestmark = pytest.mark.kafka


def record(event: dict[str, Any], partition: int, after_ms: int) -> Record:
    value = json.dumps(event).encode()
    return Record(value, key=event["id"].encode(), partition=partition, timestamp_ms=NOW_MS + after_ms)


def naming(client: str, customer: int, partition: int, after_ms: int) -> Record:
    """A transaction of the client with this sender."""
    transaction = {
        "id": f"{client}-{customer}",
        "sep": "31",
        "kind": "receive",
        "client_name": client,
        "customers": {"sender": {"id": f"c{customer}"}},
    }
    event = {"type": "transaction_created", "id": f"n-{client}-{customer}", "transaction": transaction}
    return record(event, partition, after_ms)


def update(number: int, **members: Any) -> Record:
    event = {"type": "customer_updated", "id": f"u{number}", "customer": {"id": f"c{number}"}, **members}
    return record(event, number % 2, 10_000)


async def test_a_customer_is_the_clients_that_named_it_first_and_a_named_client_decides(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    """Seen before: client b received the events of 30 of client a's 60 customers."""
    async with wallet(TEST_SEED) as one, wallet(TEST_SEED) as other:
        clients = [
            noncustodial_client(name, receiver.url, domains=[f"{name}.example"], seps=["sep12"])
            for name, receiver in zip(CLIENTS, (one, other), strict=True)
        ]
        env = anchor_env(
            apache_kafka.bootstrap, business_url=business_server.url, clients=clients, names=names
        )
        await apache_kafka.create_topics({names.source: 2})
        # Of each customer the first naming is in one partition and the second, 1 s later, in the other.
        first = [naming(CLIENTS[n % 2], n, n // 2 % 2, 0) for n in range(CUSTOMERS)]
        second = [naming(CLIENTS[1 - n % 2], n, 1 - n // 2 % 2, 1_000) for n in range(CUSTOMERS)]
        await apache_kafka.publish(names.source, [*second, *first])
        workers = [await start_worker(env), await start_worker(env)]
        await business_server.wait_for(2 * CUSTOMERS, 60)
        workers[0].kill()
        await workers[0].wait(30)
        workers.append(await start_worker(env))
        updates = [update(n) for n in range(CUSTOMERS)]
        attributed = [update(CUSTOMERS + n, clientName="b") for n in range(4)]  # no transaction names these
        foreign = [update(n, id=f"x{n}", clientName=CLIENTS[1 - n % 2]) for n in range(4)]
        contradictory = [update(n, id=f"y{n}", clientName="a", clientDomain="b.example") for n in range(4)]
        await apache_kafka.publish(names.source, [*updates, *attributed, *foreign, *contradictory])

        expected = {
            name: {f"u{n}" for n in range(CUSTOMERS) if CLIENTS[n % 2] == name}
            | {f"x{n}" for n in range(4) if CLIENTS[1 - n % 2] == name}
            for name in CLIENTS
        }
        expected["b"] |= {f"u{CUSTOMERS + n}" for n in range(4)}
        everything = {f"n-{name}-{n}" for name in CLIENTS for n in range(CUSTOMERS)}
        everything |= {f"u{n}" for n in range(CUSTOMERS + 4)}
        everything |= {f"{kind}{n}" for kind in "xy" for n in range(4)}
        await business_server.wait_until(
            lambda: {str(request.event_id) for request in business_server.requests} >= everything, 60
        )
        for name, receiver in zip(CLIENTS, (one, other), strict=True):
            await receiver.wait_for(len(expected[name]), 60)
            assert {str(request.event_id) for request in receiver.requests} == expected[name]
        text = "".join(worker.log_text() for worker in workers)
        assert text.count("attribution.contradicted") == 4
        assert [n for n in range(CUSTOMERS) if f"customer='c{n}'" not in text] == [], "each is contested"
