"""The largest batch that each of our topics takes, as the brokers say."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from eventproc.delivery.kafka_clients import connection_options
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

LIMIT: Final = "max.message.bytes"
ANSWER_SECONDS: Final = 10.0


async def read_topic_limits(settings: Settings, topics: Collection[str]) -> dict[str, int]:
    """Return each topic's ``max.message.bytes`` as it is in force, without those that Kafka does not tell.

    A worker starts without them: the embedded broker tells none, and the right DescribeConfigs may be
    missing. ``topics.max_message_bytes`` is the limit then.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings))
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic, {LIMIT: ""}) for topic in topics]
    try:
        await asyncio.wait_for(admin.start(), ANSWER_SECONDS)
        answers = await asyncio.wait_for(admin.describe_configs(resources), ANSWER_SECONDS)
    except (KafkaError, OSError, asyncio.TimeoutError) as error:
        log.info("topics.limits_unknown", problem=repr(error)[:200])
        return {}
    finally:
        await admin.close()
    return _limits(answers)


def _limits(answers: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for answer in answers:
        for code, _message, _type, topic, entries in answer.resources:
            values = {entry[0]: entry[1] for entry in entries}
            if not code and str(values.get(LIMIT) or "").isdigit():
                found[topic] = int(values[LIMIT])
    return found
