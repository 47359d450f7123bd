"""A copy that Kafka refused was later taken for a router's replay, and its event was lost.

The next batch of the same partition was written before anybody heard of the first one's refusal. Once the topic
took such records again, the sink had seen a higher source offset and skipped the refused one. Later the worker ended
at a refusal, again and again, and no destination received anything until the topic was put right.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record, configure_topic
from tests.servers.receiver import Receiver
from tests.servers.waiting import wait_until

SOON_SECONDS = 60.0


def event(id_: str, size: int) -> Record:
    return Record(event_value(id_, f"t{id_}", client_name="acme", message="x" * size), key=id_.encode())


async def test_a_refused_copy_costs_itself_alone_and_is_not_lost(  # noqa: PLR0917 - fixtures
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    clients = [noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"], seps=["sep24"])]
    env = anchor_env(
        apache_kafka.bootstrap, business_url=business_server.url, clients=clients, names=names, partitions=1
    )
    worker = await start_worker(env)
    topic, letters = names.topic("client.acme.sep24"), names.topic("dead-letter")
    await configure_topic(apache_kafka.bootstrap, topic, max_message_bytes=100_000)

    sizes = {f"e{number}": 250_000 if number == 3 else 10_000 for number in range(30)}
    await apache_kafka.publish(names.source, [event(id_, size) for id_, size in sizes.items()])
    await business_server.wait_until(lambda: set(business_server.event_ids()) == set(sizes), SOON_SECONDS)
    small = [id_ for id_ in sizes if id_ != "e3"]
    await wallet_server.wait_until(lambda: set(wallet_server.event_ids()) == set(small), SOON_SECONDS)

    copies = [json.loads(record.value or b"")["id"] for record in await apache_kafka.read_all(topic)]
    assert copies == small, "in order, and each once"
    (letter,) = await apache_kafka.read_all(letters)
    assert letter.headers["dead-letter-reason"].startswith(b"topic-refused: ")
    assert letter.headers["source-offset"] == b"3"

    async def is_all_routed() -> bool:
        committed = await apache_kafka.committed(names.consumer_group, names.source)
        return {one.offset for one in committed.values()} == {30}

    await wait_until(is_all_routed, SOON_SECONDS, "the source offset")
    await configure_topic(apache_kafka.bootstrap, topic, max_message_bytes=1_000_000)
    await apache_kafka.publish(names.source, [event("e30", 250_000)])
    done = await eventproc(tmp_path, env, "deadletter", "redrive", "--all", "--yes")
    assert "1" in done.stdout
    await wallet_server.wait_until(lambda: set(wallet_server.event_ids()) == {*sizes, "e30"}, SOON_SECONDS)
    assert len(wallet_server.event_ids()) == 31, "each once"
    assert "router.send_failed" not in worker.log_text()
