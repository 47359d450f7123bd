"""Steps 1 to 3 at work: TRANSACTION -> decode, route, internal record -> internal topics -> ack.

Sends are not awaited one by one: the producer batches, and a source offset is done when all its copies are
acknowledged. One task sends, in the order of the source, so the copies of one source partition stand in each
internal partition in order; the sinks' replay filter is built on that.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import structlog
from mode import Service

from eventproc.customer_index import NamedAt
from eventproc.dead_letters import DeadLetter, DeadLetterReason, dead_letter_headers, letter_id
from eventproc.delivery.backlog import Backlog, FlowControl
from eventproc.delivery.byte_gate import ByteGate
from eventproc.delivery.customer_directory import CustomerDirectory
from eventproc.delivery.held_bytes import HeldBytes
from eventproc.delivery.inbound import InboundRecord, Job
from eventproc.delivery.journal import NO_JOURNAL, Journal, Tracer
from eventproc.delivery.outlets import Copy, Outlets
from eventproc.delivery.ownership_log import report_ownership
from eventproc.delivery.partitions import AssignedPartitions, Partition
from eventproc.delivery.pending_record import PendingRecord
from eventproc.delivery.producer import RecordProducer
from eventproc.delivery.read_positions import Step
from eventproc.delivery.topic_troubles import TopicTroubles
from eventproc.events import Event, Unreadable, decode
from eventproc.identifiers import DestinationId
from eventproc.invalid_copy import invalid_copy
from eventproc.ownership import ClientMatch
from eventproc.payloads.platform_event import iso_timestamp
from eventproc.payloads.spans import transaction_span
from eventproc.record_limits import RecordLimits, record_bytes, room_needed
from eventproc.records import (
    Headers,
    Source,
    header_values,
    internal_headers,
    read_origin,
    read_traceparent,
)
from eventproc.routing import Route, RoutingTable
from eventproc.watermark import CommitPoint

log = structlog.stdlib.get_logger("eventproc.router")

MAX_OUTSTANDING: Final = 4000


@dataclass(frozen=True, slots=True)
class RouterTopics:
    """Where the router writes."""

    by_destination: dict[DestinationId, str]
    invalid: str
    dead_letter: str
    customers: str


@dataclass(slots=True)
class RouterStats:
    """Counters since this worker started."""

    events: int = 0
    copies: int = 0
    invalid: int = 0
    unbuildable: int = 0
    matches: Counter[ClientMatch] = field(default_factory=Counter)


class Router(Service):
    """Fans events out. ``accept`` never waits; see ``engine.py`` for why."""

    def __init__(
        self,
        table: RoutingTable,
        topics: RouterTopics,
        producer: RecordProducer,
        directory: CustomerDirectory,
        flow: FlowControl,
        *,
        limits: RecordLimits,
        troubles: TopicTroubles,
        memory: HeldBytes,
        journal: Journal = NO_JOURNAL,
        tracer: Tracer | None = None,
        **kwargs: Any,
    ) -> None:
        self.stats = RouterStats()
        self._table = table
        self._topics = topics
        self._producer = producer
        self._directory = directory
        self._limits = limits
        self._troubles = troubles
        self._outlets = Outlets(producer, troubles, time.monotonic)
        self._destination_of = {topic: id_ for id_, topic in topics.by_destination.items()}
        self._journal = journal
        self._tracer = tracer
        self._partitions = AssignedPartitions()
        self._backlog = Backlog(flow, self._partitions, MAX_OUTSTANDING, memory)
        self._copied = ByteGate(memory.max_bytes)  # 1 MB for 50 destinations is 50 MB in the producer
        self._queue: deque[InboundRecord] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._outstanding = 0
        self._draining = False
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The outlets start and stop with this."""
        return [self._outlets]

    # -- what the consumer calls -------------------------------------------------------------------

    def assign(self, partition: Partition, committed: int | None, metadata: str) -> None:
        """A source partition is ours."""
        self._partitions.assign(partition, committed, metadata)
        self._draining = False

    def accept(self, record: InboundRecord) -> None:
        """Take one source record; never waits."""
        if self._draining or not self._partitions.offer(record.partition, record.offset, None):
            return
        self._queue.append(record)
        self._wake.set()
        self._backlog.add(len(record.value or b""))

    def step(self, partition: Partition, step: Step) -> None:
        """Reading has moved without a record."""
        if not self._draining:
            self._partitions.step(partition, step)

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What to commit now."""
        return self._partitions.commit_points()

    def committed(self, partition: Partition, point: CommitPoint) -> None:
        """The broker has taken this commit."""
        self._partitions.committed(partition, point)

    async def drain(self, timeout_seconds: float) -> None:
        """Send nothing more; wait within the bound for what is under way."""
        self._draining = True
        self._clear_queue()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_seconds)
        except asyncio.TimeoutError:
            log.warning("router.drain_cut_short", outstanding=self._outstanding)

    def release(self) -> None:
        """No source partition is ours any more."""
        self._backlog.open()
        self._partitions.clear()
        self._clear_queue()
        self._outlets.forget()

    def use(self, table: RoutingTable, by_destination: dict[DestinationId, str]) -> None:
        """Route by this table from the next event on; ``by_destination`` has each destination's topic."""
        self._table = table
        self._topics = replace(self._topics, by_destination=by_destination)
        self._destination_of = {topic: id_ for id_, topic in by_destination.items()}

    @property
    def contested_customers(self) -> int:
        """Customers that clients name which do not receive their updates."""
        return 0 if self._table.shared_customers else self._directory.index.contested_count

    @property
    def is_holding_back(self) -> bool:
        """Whether too much is under way, so that the source is paused."""
        return self._backlog.is_holding_back

    @property
    def outstanding(self) -> int:
        """Records accepted whose copies are not all acknowledged."""
        return self._backlog.records

    @property
    def partitions(self) -> AssignedPartitions:
        """The source partitions that are ours."""
        return self._partitions

    # -- the way of one event ----------------------------------------------------------------------

    @Service.task
    async def _run(self) -> None:
        await self._directory.ready.wait()
        while not self.should_stop:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._copied.wait()
                if self._queue:  # a drain may have come first
                    await self._route(self._queue.popleft())

    async def _route(self, record: InboundRecord) -> None:
        copies = list(self._copies(record))
        copied_bytes = sum(len(value or b"") for _, _, value, _ in copies)
        pending = PendingRecord(
            record.partition, record.offset, len(record.value or b""), copied_bytes, len(copies)
        )
        self._outstanding += 1
        self._copied.add(copied_bytes)
        if not copies:
            self._done(pending)
            return
        self._idle.clear()
        for topic, key, value, headers in copies:
            destination = self._destination_of.get(topic)
            if destination is None or key is None:
                self.add_future(self._write_beside(pending, topic, key, value, headers))
                continue
            job = Job(record._replace(key=key, headers=headers), read_origin(headers))
            copy = Copy(
                key,
                value,
                headers,
                partial(self._acknowledge, pending),
                partial(self._set_aside, destination, job),
            )
            try:
                await self._outlets.of(topic).offer(copy)
            except Exception as error:  # noqa: BLE001 - a fault of ours: going on would leave a gap
                self._end_at_failure(pending, error)
                return

    async def _set_aside(self, destination: DestinationId, job: Job, detail: str) -> None:
        """Write the dead letter of a copy that its destination's topic refuses."""
        letter = DeadLetter(destination, job.lane, DeadLetterReason.TOPIC_REFUSED, 0, detail, None, b"")
        headers = dead_letter_headers(letter, job.record.headers, iso_timestamp(time.time_ns() // 1_000_000))
        key = letter_id(destination, headers, (*job.record.partition, job.record.offset)).key
        topic = self._topics.dead_letter
        write = partial(self._producer.send_and_wait, topic, key, job.record.value, headers)
        await self._troubles.until_written(topic, write)
        self._journal.dead_lettered(letter, job)
        log.warning(
            "dead_letter.written",
            destination=destination,
            event_id=job.origin.event_id,
            transaction=letter.lane,
            reason=letter.reason.value,
            detail=detail,
        )

    async def _write_beside(
        self, pending: PendingRecord, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Write a copy that no destination gets: its topic may refuse for long, and others must not wait."""
        write = partial(self._producer.send_and_wait, topic, key, value, headers)
        await self._troubles.until_written(topic, write)
        self._acknowledge(pending)

    def _copies(self, record: InboundRecord) -> Iterable[tuple[str, bytes | None, bytes | None, Headers]]:
        """Every record to write for one source record: topic, key, value, headers."""
        source = Source(record.partition[0], record.partition[1], record.offset, record.timestamp_ms)
        if record.value is not None and len(record.value) > self._limits.value_bytes:
            yield self._invalid(record, source, "too-large", f"{len(record.value)} bytes")
            return
        event = decode(record.value)
        if isinstance(event, Unreadable):
            yield self._invalid(record, source, event.reason.value, event.detail)
            return
        self.stats.events += 1
        index = self._directory.index
        route = self._table.route(event, index, NamedAt(source.timestamp_ms, source.partition, source.offset))
        self.stats.matches[route.match] += 1
        self._journal.routed(event, source, route)
        traceparent = read_traceparent(header_values(record.headers))
        if self._tracer is not None:
            traceparent = self._tracer.routing(event, source, route, traceparent)
        headers = internal_headers(event, source, traceparent, transaction_span(event))
        key = event.lane_key.encode("utf-8", "replace")
        room = room_needed(key, record.value, headers, event.id)
        too_small: dict[str, str] = {}
        yield from self._learned(route)
        report_ownership(event, route, index)
        for destination in route.destinations:
            topic = self._topics.by_destination[destination]
            if self._takes(topic, room):
                self.stats.copies += 1
                yield topic, key, record.value, headers
            else:
                too_small[destination] = topic
        if route.misfit is not None:
            yield self._invalid(record, source, "not-in-its-sep", route.misfit)
        for client in route.unbuildable:
            if self._takes(self._topics.dead_letter, room):
                yield self._unbuildable(event, client, record, headers)
            else:
                too_small[f"client.{client}"] = self._topics.dead_letter
        if too_small:
            yield self._invalid(record, source, "copy-too-large", self._why_too_small(too_small, room))

    def _takes(self, topic: str, room: int) -> bool:
        """Whether a copy fits, also as the dead letter that it may become."""
        return room <= min(self._limits.of(topic), self._limits.of(self._topics.dead_letter))

    def _why_too_small(self, topics: dict[str, str], room: int) -> str:
        limit = min(self._limits.of(topic) for topic in (*topics.values(), self._topics.dead_letter))
        return f"needs {room} bytes of at most {limit}; not delivered to {', '.join(topics)}"

    def _learned(self, route: Route) -> Iterable[tuple[str, bytes | None, bytes | None, Headers]]:
        topic = self._topics.customers
        for naming in route.learned:
            key, value = naming.key(), naming.value()
            if record_bytes(key, value, []) <= self._limits.of(topic):
                yield topic, key, value, []
            else:
                log.warning("customer.not_kept", customer=naming.customer[:100], bytes=len(key) + len(value))

    def _invalid(
        self, record: InboundRecord, source: Source, reason: str, detail: str
    ) -> tuple[str, bytes | None, bytes | None, Headers]:
        self.stats.invalid += 1
        self._journal.invalid(record.key, source, reason, detail)
        log.warning(
            "record.invalid",
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            reason=reason,
            detail=detail,
        )
        limit = self._limits.of(self._topics.invalid)
        copy = invalid_copy(
            record.key,
            record.value,
            record.headers,
            source=source,
            reason=reason,
            detail=detail,
            limit=limit,
        )
        return self._topics.invalid, copy.key, copy.value, copy.headers

    def _unbuildable(
        self, event: Event, client: str, record: InboundRecord, headers: Headers
    ) -> tuple[str, bytes | None, bytes | None, Headers]:
        self.stats.unbuildable += 1
        destination = DestinationId(f"client.{client}")
        detail = f"no callback body exists for SEP {event.sep!r}"
        letter = DeadLetter(destination, event.lane_key, DeadLetterReason.CANNOT_BUILD, 0, detail, None, b"")
        log.warning(
            "dead_letter.written",
            destination=destination,
            event_id=event.id,
            transaction=letter.lane,
            reason=letter.reason.value,
            detail=detail,
        )
        at = iso_timestamp(record.timestamp_ms)
        return (
            self._topics.dead_letter,
            letter_id(destination, headers, (*record.partition, record.offset)).key,
            record.value,
            dead_letter_headers(letter, headers, at),
        )

    def _acknowledge(self, pending: PendingRecord) -> None:
        pending.left -= 1
        if not pending.left:
            self._done(pending)

    def _done(self, pending: PendingRecord) -> None:
        self._outstanding -= 1
        self._copied.add(-pending.copied_bytes)
        self._partitions.done(pending.partition, pending.offset)
        if self._outstanding == 0:
            self._idle.set()
        self._backlog.remove(pending.value_bytes)

    def _clear_queue(self) -> None:
        self._backlog.drop(len(self._queue), sum(len(record.value or b"") for record in self._queue))
        self._queue.clear()

    def _end_at_failure(self, pending: PendingRecord, error: BaseException) -> None:
        """A fault of ours in a send ends the worker: going on would leave a gap in the source's order."""
        if self.should_stop or self.crashed:
            return
        self._draining = True
        self._clear_queue()
        log.critical(
            "router.send_failed", partition=pending.partition, offset=pending.offset, problem=repr(error)
        )
        self.add_future(self.crash(error))
