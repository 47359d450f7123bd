"""The topic of invalid records, read from its beginning for a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from eventproc.delivery.bounded_kafka import as_unavailable, read_topic
from eventproc.invalid_records import InvalidRecord, newest_of_each, read_invalid_record
from settings import Settings


async def read_invalid(
    settings: Settings, is_meant: Callable[[InvalidRecord], bool], *, with_values: bool
) -> list[InvalidRecord]:
    """Those that are meant; none when the topic is not there. Values may be many megabytes: kept when asked.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
    """
    found = []
    with as_unavailable(settings):
        async for record in read_topic(settings, settings.topics.invalid):
            one = read_invalid_record(
                record.offset, record.timestamp, record.key, record.value, record.headers
            )
            if is_meant(one):
                found.append(one if with_values else replace(one, value=None))
    return newest_of_each(found)
