"""Reads back what shadow workers wrote: requests that were never sent."""

from __future__ import annotations

from eventproc.delivery.bounded_kafka import as_unavailable, read_topic
from eventproc.shadow.records import read_shadow_record
from eventproc.shadow.request import SentRequest
from settings import Settings


async def read_shadow(settings: Settings) -> list[SentRequest]:
    """Every request, each destination's in the order in which they would have been sent.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
    """
    found = []
    with as_unavailable(settings):
        async for record in read_topic(settings, settings.topics.requests):
            request = read_shadow_record(record.headers, record.value)
            if request is not None:
                found.append(request)
    return found
