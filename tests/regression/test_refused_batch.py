"""A copy that Kafka refused was later taken for a router's replay, and its event was lost.

The next batch of the same partition was written before anybody heard of the first one's refusal. Once the topic
took such records again, the sink had seen a higher source offset and skipped the refused one.
"""

from __future__ import annotations

import json

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver


def event(number: int, size: int) -> Record:
    transaction = {"id": f"t{number}", "message": "x" * size}
    value = {"type": "transaction_created", "id": f"e{number}", "transaction": transaction}
    return Record(json.dumps(value).encode(), key=b"%d" % number)


async def test_nothing_overtakes_a_refused_copy_and_nothing_is_lost(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    await apache_kafka.create_topics({names.source: 1})
    topic = names.topic("callback-api")
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names)
    await admin.alter_configs([_limited(topic, 8_000_000)])
    worker = await start_worker(env)
    await admin.alter_configs([_limited(topic, 100_000)])  # the worker has read the other limit
    events = [event(0, 250_000), *(event(number, 10_000) for number in range(1, 6))]
    await apache_kafka.publish(names.source, events)
    assert await worker.wait(40) != 0
    assert "router.send_failed" in worker.log_text()
    assert await apache_kafka.read_all(topic) == [], "nothing may be written behind the refused copy"

    await admin.alter_configs([_limited(topic, 8_000_000)])
    await admin.close()
    await start_worker(env)
    requests = await business_server.wait_for(6, 30)
    assert {request.event_id for request in requests} == {f"e{number}" for number in range(6)}


def _limited(topic: str, max_message_bytes: int) -> ConfigResource:
    return ConfigResource(
        ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": str(max_message_bytes)}
    )
