"""The journal of attempts, written: noted in memory on an event's way, sent in bundles beside it.

Best effort on purpose. What an entry costs on the way of an event is an append to a bounded list; when Kafka
does not take the bundles, the oldest entries go and are counted, and readers are told how many. No failure of
this topic reaches the delivery, and a stop waits for it no longer than ``STOP_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import structlog
from mode import Service

from eventproc.dead_letters import DeadLetter
from eventproc.delivery.inbound import Job
from eventproc.delivery.journal import Timing
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.journal_entries import (
    DROPPED,
    Attempt,
    DeadLettered,
    Entry,
    Invalid,
    Redriven,
    Routed,
    Skipped,
    encode,
    partition_of,
)
from eventproc.outcomes import Delivered, Failed, Rejected
from eventproc.records import Headers, Source, read_origin
from eventproc.redrive import Entry as DeadLetterEntry
from eventproc.routing import Route
from eventproc.times import read_time
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.timeline")

BUFFER_ENTRIES: Final = 20_000
BUNDLE_ENTRIES: Final = 2_000
"""Packed at once, 5 ms of the event loop; on 8 partitions a record of 250 entries, some 10 KiB."""

RETRY_SECONDS: Final = 1.0
STOP_SECONDS: Final = 2.0
DETAIL_CHARACTERS: Final = 200


class Producer(Protocol):
    """What the journal needs of ``RecordProducer``."""

    async def partitions_of(self, topic: str) -> int:
        """How many partitions the topic has."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        """Append one record; the future ends when Kafka has acknowledged it."""


class JournalWriter(Service):
    """A ``Journal`` that is written to Kafka. ``dropped`` counts the entries that were not."""

    def __init__(
        self, settings: Settings, producer: Producer, wall: Callable[[], float] = time.time, **kwargs: Any
    ) -> None:
        self.dropped = 0
        self._topic = settings.topics.attempts
        self._flush_seconds = settings.timeline.flush_seconds
        self._worker = f"{socket.gethostname()}/{os.getpid()}"
        self._producer = producer
        self._wall = wall
        self._entries: deque[Entry] = deque(maxlen=BUFFER_ENTRIES)
        self._many = asyncio.Event()
        self._writing = asyncio.Lock()
        self._told_dropped = 0
        self._untold_dropped: dict[int, int] = {}
        self._is_failing = False
        super().__init__(**kwargs)

    # -- on the way of an event --------------------------------------------------------------------

    def routed(self, event: Event, source: Source, route: Route) -> None:
        """An event goes to these destinations."""
        self._note(
            Routed(
                event.lane_key,
                event.id,
                source,
                _cut(self._wall()),
                event.type.value,
                event.sep,
                route.match.value,
                route.destinations,
                route.unbuildable,
                route.misfit,
            )
        )

    def invalid(self, key: bytes | None, source: Source, reason: str, detail: str) -> None:
        """A record of the source went to the invalid topic; its key, the event's id, is all to find it by."""
        if key:
            name = key[:DETAIL_CHARACTERS].decode("utf-8", "replace")
            self._note(Invalid(name, name, source, _cut(self._wall()), reason, detail[:DETAIL_CHARACTERS]))

    def attempted(
        self, destination: DestinationId, job: Job, outcome: Delivered | Rejected | Failed, timing: Timing
    ) -> None:
        """One request is over, and it is decided what follows."""
        kind = detail = None
        if isinstance(outcome, Delivered):
            fate = "delivered"
        elif isinstance(outcome, Rejected):
            fate = "rejected"
        else:
            fate, kind, detail = "failed", outcome.kind.value, outcome.detail[:DETAIL_CHARACTERS]
        next_try_at = timing.next_try_at
        origin = job.origin
        self._note(
            Attempt(
                job.lane,
                origin.event_id,
                origin.source,
                _cut(timing.at),
                destination,
                job.attempts,
                int(timing.seconds * 10_000) / 10_000,
                fate,
                kind,
                outcome.status,
                detail,
                None if next_try_at is None else _cut(next_try_at),
                origin.redriven,
            )
        )

    def dead_lettered(self, letter: DeadLetter, job: Job) -> None:
        """An event was set aside, and the dead-letter topic has acknowledged it."""
        self._note(
            DeadLettered(
                job.lane,
                job.origin.event_id,
                job.origin.source,
                _cut(self._wall()),
                letter.destination,
                letter.reason.value,
                letter.detail[:DETAIL_CHARACTERS],
                letter.attempts,
                letter.status,
            )
        )

    def skipped(self, destination: DestinationId, job: Job, why: str) -> None:
        """An event needed no request."""
        at = _cut(self._wall())
        self._note(Skipped(job.lane, job.origin.event_id, job.origin.source, at, destination, why))

    def redriven(self, letter: DeadLetterEntry, mark: str) -> None:
        """An operator has sent a dead letter again; ``mark`` says when that began, before any attempt."""
        source = read_origin(letter.headers).source
        began = read_time(mark)
        at = self._wall() if began is None else began.timestamp()
        self._note(Redriven(letter.lane, letter.event_id, source, _cut(at), letter.destination))

    def _note(self, entry: Entry) -> None:
        entries = self._entries
        if len(entries) >= BUNDLE_ENTRIES:
            self._many.set()
            if len(entries) == BUFFER_ENTRIES:
                self.dropped += 1  # the oldest one, by the list's bound
        entries.append(entry)

    # -- beside it ---------------------------------------------------------------------------------

    @Service.task
    async def _write_now_and_then(self) -> None:
        while not self.should_stop:
            await _within(self._flush_seconds, self._many.wait())
            self._many.clear()
            await self._write_safely()
            if self._is_failing:
                await self.sleep(RETRY_SECONDS)

    async def on_stop(self) -> None:
        """Write the rest, if that goes quickly."""
        await _within(STOP_SECONDS, self._write_safely())
        if self._entries:
            log.warning("timeline.entries_left_behind", count=len(self._entries))

    async def _write_safely(self) -> None:
        """Nothing that goes wrong here may end the worker."""
        async with self._writing:
            try:
                while self._entries:
                    await self._write_bundle()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not worth a delivery
                if not self._is_failing:
                    log.warning("timeline.not_written", topic=self._topic, problem=repr(error))
                self._is_failing = True
            else:
                self._is_failing = False

    async def _write_bundle(self) -> None:
        partitions = await self._producer.partitions_of(self._topic)
        self._tell_dropped(partitions)
        buckets: dict[int, list[Entry]] = {}
        for _ in range(min(len(self._entries), BUNDLE_ENTRIES)):
            entry = self._entries.popleft()
            buckets.setdefault(partition_of(entry.lane, partitions), []).append(entry)
        sends = (self._send(partition, entries) for partition, entries in buckets.items())
        results = await asyncio.gather(*sends, return_exceptions=True)
        for entries, result in zip(buckets.values(), results, strict=True):
            if result is not None:
                self.dropped += len(entries)
        for result in results:
            if result is not None:
                raise result

    async def _send(self, partition: int, entries: list[Entry]) -> None:
        dropped = self._untold_dropped.get(partition, 0)
        headers: Headers = [(DROPPED, b"%d" % dropped)] if dropped else []
        value = encode(entries, self._worker)
        await (await self._producer.send(self._topic, None, value, headers, partition))
        self._untold_dropped[partition] = 0

    def _tell_dropped(self, partitions: int) -> None:
        """Of whose lane a dropped entry was is not known, so the next record of every partition says so."""
        newly = self.dropped - self._told_dropped
        if newly:
            self._told_dropped = self.dropped
            for partition in range(partitions):
                self._untold_dropped[partition] = self._untold_dropped.get(partition, 0) + newly


def _cut(at: float) -> float:
    """To the millisecond: shorter when packed. ``round`` takes four times as long."""
    return int(at * 1000) / 1000


async def _within(seconds: float, work: Awaitable[Any]) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(work, seconds)
