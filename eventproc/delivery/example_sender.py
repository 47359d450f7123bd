"""Sends example events: into the source topic, or straight to an endpoint as a sink would."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    admin_client,
    as_unavailable,
    producer_client,
    within,
)
from eventproc.delivery.inbound import InboundRecord, Job
from eventproc.delivery.request import build_body, sign
from eventproc.destinations import Destination
from eventproc.errors import EventprocError
from eventproc.example_events import Example
from eventproc.http.sender import make_sender
from eventproc.identifiers import EventId
from eventproc.outcomes import NoResponse, Outcome, Response, Unbuildable, judge
from eventproc.records import Origin
from eventproc.scrubbing import scrub
from settings import Settings


class NoSourceTopicError(EventprocError):
    """The source topic is not there."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where Kafka put an example."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """The request of one example, signed; None in place of it when it cannot be built."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request."""

    outcome: Outcome
    seconds: float
    status: int | None = None
    excerpt: bytes = b""


async def publish_examples(
    settings: Settings, examples: Sequence[Example], on_published: Callable[[int], None] = lambda _: None
) -> list[Published]:
    """Write them to the source topic, in order.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
        NoSourceTopicError: the topic is not there.
    """
    topic = settings.topics.source
    with as_unavailable(settings):
        async with admin_client(settings) as admin:
            if topic not in await within(ANSWER_SECONDS, admin.list_topics()):
                raise NoSourceTopicError(
                    f"topic {topic} does not exist: the first worker makes it, or make it yourself"
                )
        published = []
        async with producer_client(settings) as producer:
            for number, example in enumerate(examples, 1):
                future = await producer.send(topic, example.key, example.value, example.headers)
                at = await within(ANSWER_SECONDS, future)
                published.append(Published(topic, at.partition, at.offset))
                on_published(number)
        return published


def prepare_example(destination: Destination, example: Example, now: float) -> Prepared | Unbuildable:
    """What a sink would POST; ``now`` in seconds since the epoch, for the signature and the tokens."""
    headers = example.headers
    record = InboundRecord(("", 0), 0, example.key, example.value, headers, int(now * 1000))
    origin = Origin(EventId(example.event_id), example.type.value, None, None, None)
    job = Job(record, origin)
    body = build_body(destination, job, now)
    if isinstance(body, Unbuildable):
        return body
    return Prepared(destination.endpoint.url, sign(destination, job, body, now), body.payload)


async def post_example(settings: Settings, destination: Destination, example: Example) -> Answer:
    """POST one example as a sink would, once."""
    prepared = prepare_example(destination, example, time.time())
    if isinstance(prepared, Unbuildable):
        return Answer(prepared, 0.0)
    sender = make_sender(destination.endpoint, settings.delivery)
    began = time.monotonic()
    try:
        result: Response | NoResponse = await sender.send(prepared.headers, prepared.body)
    finally:
        await sender.close()
    seconds = time.monotonic() - began
    outcome = judge(result, time.time())
    if isinstance(result, NoResponse):
        return Answer(outcome, seconds)
    return Answer(outcome, seconds, result.status, scrub(result.excerpt, prepared.headers))
