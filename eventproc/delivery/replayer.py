"""Source topic -> destinations' topics, once more: reads what an operator chose, writes marked copies.

One idempotent producer writes in the order of the source, and a partition that refused a record takes no
more, so each transaction keeps its order whatever goes wrong. What is done is what Kafka has acknowledged.

Events are sent in rounds: the next one begins when Kafka has acknowledged the whole of the one before, and
the caller has been informed. So a command that is killed has sent at most one round behind the last point
that it printed. Waiting at the end of each round costs a round trip for 1,000 events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from eventproc.customer_index import CustomerIndex
from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    Spans,
    admin_client,
    all_partitions,
    as_unavailable,
    committed_offsets,
    consumer_client,
    producer_client,
    read_topic,
    scan,
    whole_spans,
    within,
)
from eventproc.destinations import build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.identifiers import DestinationId
from eventproc.records import Headers, Source, read_origin
from eventproc.replay import (
    ROUND_EVENTS,
    Copy,
    MissingTopicError,
    Place,
    Planner,
    ReplayPlan,
    ReplaySelection,
    SendProgress,
    copies_of,
    routed_end,
)
from eventproc.times import to_ms
from settings import Settings

PROGRESS_RECORDS: Final = 500
CLOCK_SLACK_MS: Final = 10 * 60 * 1000
"""Producers stamp records by their own clocks: reading ends only so far behind ``until``."""


class Producer(Protocol):
    """What a replay needs of ``RecordProducer``."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Append one record; the future ends when Kafka has acknowledged it."""


class Replayer:
    """One operator's replay."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = {id_: one.topic for id_, one in build_destinations(settings).items()}

    async def plan(self, selection: ReplaySelection, on_progress: Callable[[int, int], None]) -> ReplayPlan:
        """Read the source; ``on_progress`` is told how many records of how many are read.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
            MissingTopicError: nobody would read what is written for a destination.
        """
        topics = self._settings.topics
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                by_topic = await all_partitions(admin)
                source = by_topic.get(topics.source, [])
                committed = await committed_offsets(admin, topics.consumer_group, source)
            self._require_topics(selection.destinations, by_topic)
            customers = await self._customers()
            table = build_routing_table(self._settings, self._topics.keys())
            planner = Planner(table, customers, selection, topics.max_message_bytes)
            async with consumer_client(self._settings) as consumer:
                whole = await whole_spans(consumer, source)
                routed = {
                    one: routed_end(begin, end, *committed.get(one, (None, "")))
                    for one, (begin, end) in whole.items()
                }
                ready = {one: (begin, min(end, routed[one])) for one, (begin, end) in whole.items()}
                spans = _continued(await _since(consumer, ready, selection.since_ms), selection)
                until_ms = None if selection.spans is not None else selection.until_ms
                await offer_all(consumer, spans, routed, planner, until_ms=until_ms, on_progress=on_progress)
        return planner.plan(not_routed=sum(max(0, end - routed[one]) for one, (_, end) in whole.items()))

    async def send(
        self, plan: ReplayPlan, at: str, progress: SendProgress, on_progress: Callable[[], None]
    ) -> None:
        """Write everything of the plan, marked ``at``.

        ``progress`` is kept up to date; ``on_progress`` is called at the end of each round.

        Raises:
            BrokerUnavailableError: Kafka did not answer, refused, or does not hold all of it any more.
        """
        source = self._settings.topics.source
        spans = {TopicPartition(source, number): span for number, span in plan.spans().items()}
        ordered = frozenset(self._topics.values())
        with as_unavailable(self._settings):
            async with (
                consumer_client(self._settings) as consumer,
                producer_client(self._settings, ordered) as producer,
                aclosing(scan(consumer, spans)) as records,
            ):
                window = SendWindow(producer, progress, on_progress)
                async for record in records:
                    if progress.is_stopping:
                        break
                    destinations = plan.copies.get(Place(record.partition, record.offset, record.timestamp))
                    if destinations is not None:
                        copies = copies_of(
                            _source(record),
                            record.value,
                            traceparent=read_origin(record.headers).traceparent,
                            destinations=destinations,
                            topics=self._topics,
                            at=at,
                        )
                        await window.send(_source(record), destinations, copies)
                await window.settle()

    def _require_topics(self, ids: frozenset[DestinationId], by_topic: Mapping[str, Any]) -> None:
        missing = sorted(self._topics[id_] for id_ in ids if self._topics[id_] not in by_topic)
        if missing:
            raise MissingTopicError(
                f"Topic {missing[0]} is not there{f', nor {len(missing) - 1} more' if missing[1:] else ''}: "
                "start a worker of this configuration first, which makes them."
            )

    async def _customers(self) -> CustomerIndex:
        index = CustomerIndex()
        async for record in read_topic(self._settings, self._settings.topics.customers):
            if record.key is not None:
                index.restore(record.key, record.value)
        return index


class _Sent(NamedTuple):
    source: Source
    destinations: tuple[DestinationId, ...]
    futures: list[asyncio.Future[Any]]


class SendWindow:
    """The copies of one round: they are sent side by side, and what is whole is counted in order."""

    def __init__(self, producer: Producer, progress: SendProgress, on_progress: Callable[[], None]) -> None:
        self._producer = producer
        self._progress = progress
        self._on_progress = on_progress
        self._events: deque[_Sent] = deque()

    async def send(self, source: Source, destinations: tuple[DestinationId, ...], copies: list[Copy]) -> None:
        """Hand over one event's copies; the last event of a round waits for all of it.

        Raises:
            KafkaError: an earlier one, or this, was refused.
            asyncio.TimeoutError: one was not acknowledged in time.
        """
        futures: list[asyncio.Future[Any]] = []
        self._events.append(_Sent(source, destinations, futures))
        for copy in copies:
            self._progress.in_doubt += 1
            try:
                future = await within(ANSWER_SECONDS, self._producer.send(*copy))
            except KafkaError:
                self._progress.in_doubt -= 1
                raise
            future.add_done_callback(self._acknowledged)
            futures.append(future)
        if len(self._events) == ROUND_EVENTS:
            await self.settle()

    async def settle(self) -> None:
        """End the round; raises as ``send``."""
        if not self._events:
            return
        while self._events:
            await self._settle_first()
        self._on_progress()

    async def _settle_first(self) -> None:
        first = self._events[0]
        for future in first.futures:
            if not future.done():
                await within(ANSWER_SECONDS, future)
            future.result()
        self._events.popleft()
        self._progress.complete(first.source, first.destinations)

    def _acknowledged(self, future: asyncio.Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._progress.in_doubt -= 1
            self._progress.written += 1


async def _since(consumer: AIOKafkaConsumer, spans: Spans, since_ms: int | None) -> Spans:
    """The spans without what Kafka's time index knows to be older."""
    if since_ms is None or not spans:
        return spans
    found = await within(ANSWER_SECONDS, consumer.offsets_for_times(dict.fromkeys(spans, since_ms)))
    return {
        one: (end if found[one] is None else max(begin, found[one].offset), end)
        for one, (begin, end) in spans.items()
    }


def _continued(spans: Spans, selection: ReplaySelection) -> Spans:
    """The spans without what a replay that is continued does not need. The latest states need all before."""
    found = {}
    for one, (begin, end) in spans.items():
        first, behind = selection.span(one.partition)
        found[one] = (begin if selection.latest_state_only else max(begin, first), int(min(end, behind)))
    return found


async def offer_all(
    consumer: AIOKafkaConsumer,
    spans: Spans,
    routed: Mapping[TopicPartition, int],
    planner: Planner,
    *,
    until_ms: int | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Every record of the spans; not those from ``routed`` on, which the router has still to do."""
    latest_ms = to_ms(datetime.now(timezone.utc)) + CLOCK_SLACK_MS
    read, total = 0, sum(max(0, end - start) for start, end in spans.values())
    async with aclosing(scan(consumer, spans)) as records:
        async for record in records:
            if until_ms is not None and until_ms + CLOCK_SLACK_MS < record.timestamp <= latest_ms:
                break  # a time in the future says nothing of what follows
            if record.offset < routed[TopicPartition(record.topic, record.partition)]:
                planner.offer(_source(record), record.value)
            read += 1
            if read % PROGRESS_RECORDS == 0:
                on_progress(read, total)


def _source(record: Any) -> Source:
    return Source(record.topic, record.partition, record.offset, record.timestamp)
