"""Topics, records and committed offsets of any broker, through aiokafka and within bounds."""

from __future__ import annotations

import asyncio
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import KafkaError, for_code
from aiokafka.structs import OffsetAndMetadata

_TIMEOUT_SECONDS = 30.0
_ATTEMPT_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish, or as read back (then partition, offset and timestamp are set)."""

    value: bytes | None
    key: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int | None = None
    timestamp_ms: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's committed position in one partition: the next offset to read, and the metadata string."""

    offset: int
    metadata: str


def answers_metadata(host: str, port: int, timeout_seconds: float = 1.0, brokers: int = 1) -> bool:
    """Whether a broker answers a Metadata request there and knows at least so many registered brokers.

    Over a plain socket, so that brokers can be started without an event loop (session fixtures).
    """
    client_id = b"ready"
    body = struct.pack(">i", 0)  # no topics: only the brokers are wanted
    header = struct.pack(">hhih", 3, 1, 1, len(client_id)) + client_id  # Metadata v1, correlation id 1
    request = header + body
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(head) < 12:
        return False
    _size, _correlation_id, broker_count = struct.unpack(">iii", head)
    return bool(broker_count >= brokers)


async def create_topics(
    bootstrap: str,
    topics: Mapping[str, int],
    *,
    configs: Mapping[str, str] | None = None,
    replication: int = 1,
) -> None:
    """Creates topics (name to number of partitions) and waits until each has leaders."""
    wanted = [
        NewTopic(name, partitions, replication, topic_configs=dict(configs or {}))
        for name, partitions in topics.items()
    ]
    async with admin_client(bootstrap) as admin:
        response = await admin.create_topics(wanted, timeout_ms=int(_TIMEOUT_SECONDS * 1000))
        for name, code, *message in response.topic_errors:
            if code:
                raise for_code(code)(f"topic {name} could not be created: {message}")
        await asyncio.wait_for(_wait_for_leaders(admin, topics), _TIMEOUT_SECONDS)


async def configure_topic(bootstrap: str, topic: str, **configs: object) -> None:
    """Sets a topic's configuration (``max_message_bytes=…``) to this alone; whatever else was set is gone."""
    named = {name.replace("_", "."): str(value) for name, value in configs.items()}
    async with admin_client(bootstrap) as admin:
        (answer,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, named)])
    for code, message, *_ in answer.resources:
        if code:
            raise for_code(code)(f"topic {topic} could not be configured: {message}")


async def delete_topics(bootstrap: str, *topics: str) -> None:
    """Deletes topics with all that is in them."""
    async with admin_client(bootstrap) as admin:
        answer = await admin.delete_topics(list(topics))
    for name, code in answer.topic_error_codes:
        if code:
            raise for_code(code)(f"topic {name} could not be deleted")


async def list_topics(bootstrap: str) -> set[str]:
    """The names of all topics."""
    async with admin_client(bootstrap) as admin:
        return set(await admin.list_topics())


async def publish(bootstrap: str, topic: str, records: Iterable[Record]) -> list[Record]:
    """Publishes in the given order, acknowledged by all replicas; the records with their partition and offset."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", linger_ms=5, max_request_size=10_485_760
    )
    await asyncio.wait_for(producer.start(), _TIMEOUT_SECONDS)
    try:
        sent = []
        for record in records:
            pending = await producer.send(
                topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
                headers=list(record.headers.items()),
            )
            sent.append((record, pending))
        done = await asyncio.wait_for(asyncio.gather(*(pending for _, pending in sent)), _TIMEOUT_SECONDS)
    finally:
        await producer.stop()
    return [
        replace(record, partition=written.partition, offset=written.offset)
        for (record, _), written in zip(sent, done, strict=True)
    ]


@asynccontextmanager
async def transaction(
    bootstrap: str, topic: str, records: Iterable[Record]
) -> AsyncIterator[AIOKafkaProducer]:
    """A transaction that is open, with these records written; the caller ends it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"tests-{uuid.uuid4()}", linger_ms=0
    )
    await asyncio.wait_for(producer.start(), _TIMEOUT_SECONDS)
    try:
        await producer.begin_transaction()
        for record in records:
            sent = producer.send_and_wait(
                topic, value=record.value, key=record.key, partition=record.partition
            )
            await asyncio.wait_for(sent, _TIMEOUT_SECONDS)
        yield producer
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> list[Record]:
    """Every record from the beginning to the end offsets at the time of the call, by partition and offset."""
    async with _reader(bootstrap, topic) as (consumer, partitions):
        records = await asyncio.wait_for(_read_to_end(consumer, partitions), timeout_seconds)
    return sorted(records, key=lambda record: (record.partition or 0, record.offset or 0))


async def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Partition to the offset that the next record will get."""
    async with _reader(bootstrap, topic) as (consumer, partitions):
        ends = await asyncio.wait_for(_end_offsets(consumer, partitions), _TIMEOUT_SECONDS)
    return {partition.partition: offset for partition, offset in ends.items()}


async def delete_records(bootstrap: str, topic: str, before: int) -> None:
    """Deletes what is before this offset in the topic's first partition, as retention does."""
    async with admin_client(bootstrap) as admin:
        asked = admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})
        await asyncio.wait_for(asked, _TIMEOUT_SECONDS)


async def commit_without_metadata(bootstrap: str, group: str, topic: str, offset: int) -> None:
    """Sets a group's offset in the topic's first partition, as Kafka's tools do; the group has no members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await asyncio.wait_for(consumer.start(), _TIMEOUT_SECONDS)
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await asyncio.wait_for(consumer.commit({partition: offset}), _TIMEOUT_SECONDS)
    finally:
        await consumer.stop()


async def committed(bootstrap: str, group: str, topic: str) -> dict[int, Committed]:
    """Partition to committed position; partitions without one are left out.

    The embedded broker keeps no metadata string: there it is always empty.
    """
    ends = await end_offsets(bootstrap, topic)
    async with admin_client(bootstrap) as admin:
        positions = await asyncio.wait_for(
            _committed_positions(admin, group, [TopicPartition(topic, number) for number in ends]),
            _TIMEOUT_SECONDS,
        )
    return {
        partition.partition: Committed(position.offset, position.metadata)
        for partition, position in positions.items()
        if position.offset >= 0
    }


@asynccontextmanager
async def admin_client(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """aiokafka's admin client, started."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await asyncio.wait_for(admin.start(), _TIMEOUT_SECONDS)
    try:
        yield admin
    finally:
        await admin.close()


async def _committed_positions(
    admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    while (positions := await _positions_or_none(admin, group, partitions)) is None:
        await asyncio.sleep(_ATTEMPT_PAUSE_SECONDS)
    return positions


async def _positions_or_none(
    admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata] | None:
    """None as long as there is no coordinator: a broker makes its offsets topic at the first question for one."""
    try:
        positions: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(
            group, partitions=partitions
        )
    except KafkaError as error:
        if not error.retriable:
            raise
        return None
    return positions


async def _wait_for_leaders(admin: AIOKafkaAdminClient, topics: Mapping[str, int]) -> None:
    while True:
        described = await admin.describe_topics(list(topics))
        led = {
            topic["topic"]: sum(
                part["error_code"] == 0 and part["leader"] >= 0 for part in topic["partitions"]
            )
            for topic in described
        }
        if all(led.get(name) == partitions for name, partitions in topics.items()):
            return
        await asyncio.sleep(_ATTEMPT_PAUSE_SECONDS)


@asynccontextmanager
async def _reader(bootstrap: str, topic: str) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A consumer outside of any group, assigned to all partitions of the topic."""
    async with admin_client(bootstrap) as admin:
        (described,) = await admin.describe_topics([topic])
    if described["error_code"]:
        raise for_code(described["error_code"])(f"topic {topic} cannot be read")
    partitions = [TopicPartition(topic, part["partition"]) for part in described["partitions"]]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await asyncio.wait_for(consumer.start(), _TIMEOUT_SECONDS)
    try:
        consumer.assign(partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()


async def _end_offsets(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """The high watermarks.

    The embedded broker answers ListOffsets with the last batch's first offset plus one, so the end of a
    partition that holds anything is taken from a fetch, where both brokers tell the same.
    """
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    unknown = {partition for partition in partitions if ends[partition] > begins[partition]}
    for partition in partitions:
        consumer.seek(partition, begins[partition])
    while unknown:
        await consumer.getmany(*unknown, timeout_ms=100, max_records=1)
        known = {partition for partition in unknown if consumer.highwater(partition) is not None}
        ends |= {partition: max(ends[partition], consumer.highwater(partition)) for partition in known}
        unknown -= known
    return ends


async def _read_to_end(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> list[Record]:
    ends = await _end_offsets(consumer, partitions)
    begins = await consumer.beginning_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, begins[partition])
    records: list[Record] = []
    left = {partition for partition in partitions if begins[partition] < ends[partition]}
    while left:
        for partition, batch in (await consumer.getmany(*left, timeout_ms=500)).items():
            records.extend(_as_record(message) for message in batch if message.offset < ends[partition])
        left = {partition for partition in left if await consumer.position(partition) < ends[partition]}
    return records


def _as_record(message: object) -> Record:
    return Record(
        value=message.value,  # type: ignore[attr-defined]  # aiokafka is untyped here
        key=message.key,  # type: ignore[attr-defined]
        headers=dict(message.headers),  # type: ignore[attr-defined]
        partition=message.partition,  # type: ignore[attr-defined]
        timestamp_ms=message.timestamp,  # type: ignore[attr-defined]
        offset=message.offset,  # type: ignore[attr-defined]
    )
