"""Kafka keeps a whole group in one record, up to a size: what becomes of a group that outgrows it.

It is the bytes that count, so a broker that takes small records and a few topics with long names stand for
thousands of topics and Kafka's own limit. Most members are bare consumers, without a worker around them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from typing import Any

import faust
import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from faust.assignor import PartitionAssignor

from eventproc.delivery.assignor import Assignor
from eventproc.delivery.faust_subscription import MissingTopics
from tests.conftest import require_kafka
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record, read_all
from tests.servers.receiver import Receiver
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

LIMIT_BYTES = 15_000
PARTITIONS = 4
TOPICS = [f"{number:02}.{'long-' * 40}" for number in range(10)]
SECONDS = 60.0


class Ours(Assignor):
    record_max_bytes = LIMIT_BYTES


def an_app() -> faust.App:
    return faust.App("many-topics", broker="kafka://127.0.0.1")


MAKE: dict[str, Callable[[], Any]] = {
    "ours": lambda: Ours(an_app()),
    "aiokafka's": lambda: RoundRobinPartitionAssignor,
    "Faust's": lambda: PartitionAssignor(an_app()),
}


@pytest.fixture(scope="module")
def small_kafka() -> Iterator[ApacheKafka]:
    """A Kafka of one partition for groups, which takes no larger records than ``LIMIT_BYTES``."""
    require_kafka()
    properties = {"message.max.bytes": str(LIMIT_BYTES), "offsets.topic.num.partitions": "1"}
    with ApacheKafka(properties) as broker:
        asyncio.run(broker.create_topics(dict.fromkeys(TOPICS, PARTITIONS)))
        yield broker


class Members:
    """The members of a group, which come and go."""

    def __init__(self, bootstrap: str, group: str, topics: Collection[str]) -> None:
        self._options = {"bootstrap_servers": bootstrap, "group_id": group}
        self._topics = topics
        self._every = len(topics) * PARTITIONS
        self.consumers: list[AIOKafkaConsumer] = []

    async def join(self, *assignors: str) -> None:
        """So many more, each with the assignor of that name; raises what Kafka answers to them."""
        came = [
            AIOKafkaConsumer(
                *self._topics,
                **self._options,
                partition_assignment_strategy=[MAKE[name]()],
                heartbeat_interval_ms=100,
                enable_auto_commit=False,
            )
            for name in assignors
        ]
        self.consumers += came
        await asyncio.wait_for(asyncio.gather(*(consumer.start() for consumer in came)), SECONDS)

    async def leave(self, consumer: AIOKafkaConsumer) -> None:
        """In good order."""
        self.consumers.remove(consumer)
        await asyncio.wait_for(consumer.stop(), SECONDS)

    async def share_all(self) -> None:
        """Waits until each of them has partitions, and no partition is missing or held twice."""

        async def until_all_is_shared() -> None:
            while True:
                for consumer in self.consumers:
                    await consumer.getmany(timeout_ms=20)  # raises what ended its part in the group
                held = [consumer.assignment() for consumer in self.consumers]
                if all(held) and sum(map(len, held)) == len(set().union(*held)) == self._every:
                    return

        await asyncio.wait_for(until_all_is_shared(), SECONDS)


@asynccontextmanager
async def a_group(
    broker: ApacheKafka, group: str, topics: Collection[str] = TOPICS
) -> AsyncIterator[Members]:
    members = Members(broker.bootstrap, group, topics)
    try:
        yield members
    finally:
        for consumer in members.consumers:
            with contextlib.suppress(KafkaError):
                await asyncio.wait_for(consumer.stop(), SECONDS)


@pytest.mark.kafka
@pytest.mark.parametrize("name", ["aiokafka's", "Faust's"])
async def test_a_group_that_outgrows_its_record_stands_still(small_kafka: ApacheKafka, name: str) -> None:
    """What our assignor is for; when this fails, it is not needed any more."""

    async def join_and_share(members: Members) -> None:
        await members.join(*[name] * 4)
        await members.share_all()

    async with a_group(small_kafka, f"too-large-{name[0]}") as members:
        with pytest.raises(KafkaError, match="UnknownError"):
            await join_and_share(members)


@pytest.mark.kafka
async def test_our_group_stays_below_and_goes_on_when_workers_come_and_go(small_kafka: ApacheKafka) -> None:
    with structlog.testing.capture_logs() as logs:
        async with a_group(small_kafka, "ours") as members:
            await members.join(*["ours"] * 4)
            await members.share_all()
            topics = [{tp.topic for tp in consumer.assignment()} for consumer in members.consumers]
            readers = Counter(topic for held in topics for topic in held)
            assert set(readers.values()) == {2}, "of four workers, as all four would be too many names"

            await members.leave(members.consumers[0])
            await members.share_all()
            await members.join("ours", "ours")
            await members.share_all()
            kept = await group_record_bytes(small_kafka, "ours")
    said = [entry for entry in logs if entry["event"].startswith("group.")]
    (five,) = {entry["record_bytes"] for entry in said if entry["workers"] == 5}
    assert kept <= five < kept + 1000, "what is reckoned is what Kafka keeps, and a little for each worker"


@pytest.mark.kafka
async def test_a_rolling_update_from_workers_of_an_older_version_and_back(small_kafka: ApacheKafka) -> None:
    async with a_group(small_kafka, "rolling", TOPICS[:5]) as members:
        await members.join("aiokafka's", "aiokafka's")
        for version in ("ours", "aiokafka's"):
            for _ in range(2):
                await members.share_all()
                await members.leave(members.consumers[0])
                await members.join(version)
        await members.share_all()


@pytest.mark.kafka
async def test_a_larger_limit_of_the_offsets_topic_counts_at_once(small_kafka: ApacheKafka) -> None:
    """The advice of docs/scale.md."""
    await set_limit(small_kafka, 10 * LIMIT_BYTES)
    try:
        async with a_group(small_kafka, "ample") as members:
            await members.join(*["aiokafka's"] * 4)
            await members.share_all()
            assert await group_record_bytes(small_kafka, "ample") > LIMIT_BYTES
    finally:
        await set_limit(small_kafka, LIMIT_BYTES)


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_a_worker_that_kafka_refuses_says_so_and_goes_on_when_it_no_longer_does(
    small_kafka: ApacheKafka, names: Names, business_server: Receiver
) -> None:
    """It stood still for ever, alive and silent: aiokafka waited for somebody to hear of it."""
    env = anchor_env(small_kafka.bootstrap, business_url=business_server.url, names=names)
    await set_limit(small_kafka, 350)
    async with WorkerProcess(env) as worker:

        async def is_refused() -> bool:
            return "group.refused" in worker.log_text()

        try:
            await wait_until(is_refused, SECONDS, worker.log_tail)
        finally:
            await set_limit(small_kafka, LIMIT_BYTES)
        await worker.wait_ready(SECONDS)
        await small_kafka.publish(names.source, [Record(event_value("e1", "t1"), key=b"e1")])
        await business_server.wait_for(1, SECONDS)


@pytest.mark.kafka
async def test_a_topic_that_comes_late_is_found_soon(small_kafka: ApacheKafka, names: Names) -> None:
    """aiokafka looks every five minutes, and until then nobody reads what is written there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=small_kafka.bootstrap, group_id=names.consumer_group)
    missing, loop = MissingTopics(), asyncio.get_running_loop()

    async def has_partitions() -> bool:
        return bool(consumer.assignment())

    await asyncio.wait_for(consumer.start(), SECONDS)
    try:
        consumer.subscribe([TOPICS[0], names.source])
        await wait_until(has_partitions, SECONDS, "nothing is read")
        assert {partition.topic for partition in consumer.assignment()} == {TOPICS[0]}
        await small_kafka.create_topics({names.source: PARTITIONS})

        async def is_ours() -> bool:
            missing.look(consumer, loop.time())
            return names.source in {partition.topic for partition in consumer.assignment()}

        await wait_until(is_ours, SECONDS, "the topic is not read")
    finally:
        await consumer.stop()


async def set_limit(broker: ApacheKafka, limit_bytes: int) -> None:
    """Of the records in ``__consumer_offsets``, which is made when somebody first asks for a group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    limit = ConfigResource(
        ConfigResourceType.TOPIC, "__consumer_offsets", {"max.message.bytes": str(limit_bytes)}
    )

    async def is_set() -> bool:
        try:
            await admin.find_coordinator("anybody")
        except KafkaError:
            return False
        (answer,) = await admin.alter_configs([limit])
        return all(code == 0 for code, *_ in answer.resources)

    await admin.start()
    try:
        await wait_until(is_set, SECONDS, "limit not set")
    finally:
        await admin.close()


async def group_record_bytes(broker: ApacheKafka, group: str) -> int:
    """Of the latest record in which Kafka keeps the group."""
    key = b"\x00\x02" + len(group).to_bytes(2, "big") + group.encode()
    records = await read_all(broker.bootstrap, "__consumer_offsets")
    return [len(record.value) for record in records if record.key == key and record.value is not None][-1]
