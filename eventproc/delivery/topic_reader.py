"""A plain reader of a whole topic, from its beginning, outside any group: for what every worker keeps."""

from __future__ import annotations

from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from eventproc.delivery.fetch_refusals import read_anything
from eventproc.delivery.kafka_clients import connection_options
from settings import Settings

METADATA_MS: Final = 5_000
"""A topic that is deleted, or made again, is seen so soon; aiokafka looks every 5 minutes by itself."""


def topic_reader(settings: Settings, topic: str) -> AIOKafkaConsumer:
    """A consumer of all partitions of ``topic``; not started."""
    read_anything()
    return AIOKafkaConsumer(
        topic,
        **connection_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=METADATA_MS,
        max_partition_fetch_bytes=settings.topics.max_message_bytes,
        isolation_level=settings.consumer.isolation_level,
    )


async def has_reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """Whether everything below ``ends`` has been read."""
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
