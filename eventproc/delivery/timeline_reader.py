"""Attempts topic -> timeline: read on demand, by whatever worker or command is asked.

A lane's entries stand in one partition, so one is read, from what was written after ``since`` to its end, in
stretches from the newest to the oldest. Cut short for want of time, the answer lacks the oldest part, and
says so. Nothing is kept in memory but the lane's own entries.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    admin_client,
    all_partitions,
    as_unavailable,
    consumer_client,
    within,
)
from eventproc.delivery.fetch_refusals import poll
from eventproc.journal_entries import DROPPED, Entry, JournalRecordError, decode, partition_of
from eventproc.timeline import Reading, Timeline, fold, iso_time
from settings import Settings

DEFAULT_SINCE_SECONDS: Final = 24 * 3600.0
DEFAULT_WITHIN_SECONDS: Final = 15.0
MAX_ENTRIES: Final = 20_000

FETCH_BYTES: Final = 1024 * 1024
POLL_MS: Final = 250
POLL_RECORDS: Final = 500
FIRST_STRETCH_RECORDS: Final = 500
MAX_STRETCH_RECORDS: Final = 8_000
"""They grow: each costs a fetch that is thrown away at its end, and one that is cut off counts as unread."""


async def read_timeline(
    settings: Settings,
    lane_key: str,
    since_seconds: float = DEFAULT_SINCE_SECONDS,
    within_seconds: float = DEFAULT_WITHIN_SECONDS,
) -> Timeline:
    """What became of a transaction (or quote, customer, event) in the last ``since_seconds``.

    Reading ends after ``within_seconds``; ``Timeline.unknown`` then says from when on it is complete.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
    """
    found = _Found(lane_key, since=time.time() - since_seconds)
    topic = settings.topics.attempts
    with as_unavailable(settings):
        async with admin_client(settings) as admin:
            partitions = (await all_partitions(admin)).get(topic, [])
        if partitions:
            partition = TopicPartition(topic, partition_of(lane_key, len(partitions)))
            async with consumer_client(settings, max_partition_fetch_bytes=FETCH_BYTES) as consumer:
                consumer.assign([partition])
                await _read(consumer, partition, found, within_seconds)
        else:
            found.problems.append(f"there is no topic {topic} yet")
    found.problems.extend(_what_was_not_kept(settings, since_seconds))
    return fold(lane_key, found.entries, time.time(), found.reading())


@dataclass(slots=True)
class _Found:
    lane: str
    since: float
    entries: list[Entry] = field(default_factory=list)
    records: int = 0
    dropped: int = 0
    unreadable: int = 0
    complete_since: float | None = None
    problems: list[str] = field(default_factory=list)

    def take(self, records: Sequence[Any]) -> None:
        """Pick out the lane's entries; run in a thread, as it is mostly unpacking."""
        for record in records:
            self.records += 1
            try:
                self.dropped += sum(_count(value) for name, value in record.headers if name == DROPPED)
                self.entries.extend(decode(record.value or b"", self.lane))
            except (JournalRecordError, ValueError):
                self.unreadable += 1

    def cut_short(self, why: str) -> None:
        """Not all was read."""
        known = "none of it is sure"
        if self.complete_since is not None:
            known = f"it is complete from {iso_time(self.complete_since)} on"
        self.problems.append(f"not everything was read, {why}; {known}")

    def reading(self) -> Reading:
        """How it was read."""
        problems = list(self.problems)
        if self.unreadable:
            problems.append(f"{self.unreadable} records are damaged, foreign or of a later version")
        return Reading(self.since, self.records, self.dropped, tuple(problems))


async def _read(
    consumer: AIOKafkaConsumer, partition: TopicPartition, found: _Found, within_seconds: float
) -> None:
    deadline = time.monotonic() + within_seconds
    begin, end = await _bounds(consumer, partition, found.since)
    upper: int | None = None  # of the newest stretch: as far as there is something
    for lower in _stretches(begin, end):
        first_at: float | None = None
        async for records in _records(consumer, partition, lower, upper, end):
            if records:
                await asyncio.to_thread(found.take, records)
                first_at = records[0].timestamp / 1000 if first_at is None else first_at
            if time.monotonic() >= deadline:
                found.cut_short(f"only {within_seconds:g} s were given")
                return
            if len(found.entries) > MAX_ENTRIES:
                found.cut_short(f"only about {MAX_ENTRIES} entries are looked at")
                return
        found.complete_since = found.complete_since if first_at is None else first_at
        upper = lower


async def _bounds(consumer: AIOKafkaConsumer, partition: TopicPartition, since: float) -> tuple[int, int]:
    """The first offset written at ``since`` or later, and the partition's end."""
    end = (await within(ANSWER_SECONDS, consumer.end_offsets([partition])))[partition]
    asked = {partition: max(0, int(since * 1000))}
    first = (await within(ANSWER_SECONDS, consumer.offsets_for_times(asked)))[partition]
    # The embedded broker says "none" by a timestamp of -1.
    return (end if first is None or first.timestamp < 0 else first.offset), end


def _stretches(begin: int, end: int) -> Iterator[int]:
    """Where each stretch begins, from the newest to the oldest."""
    length, lower = FIRST_STRETCH_RECORDS, end
    while lower > begin:
        lower = max(begin, lower - length)
        length = min(length * 2, MAX_STRETCH_RECORDS)
        yield lower


async def _records(
    consumer: AIOKafkaConsumer, partition: TopicPartition, lower: int, upper: int | None, end: int
) -> AsyncIterator[list[Any]]:
    """Records from ``lower`` to ``upper``, or to the end and what came after it; none while Kafka has none.

    After it, because the embedded broker tells as its end where its last batch begins.
    """
    consumer.seek(partition, lower)
    position, is_full = lower, False
    while position < (end if upper is None else upper) or (upper is None and is_full):
        most = POLL_RECORDS if upper is None else min(POLL_RECORDS, upper - position)
        polled = poll(consumer, partition, timeout_ms=POLL_MS, max_records=most)
        records = (await within(ANSWER_SECONDS, polled)).get(partition, [])
        yield records
        is_full = len(records) == most
        position = await within(ANSWER_SECONDS, consumer.position(partition))


def _count(value: bytes | None) -> int:
    return int(value or b"0")


def _what_was_not_kept(settings: Settings, since_seconds: float) -> Iterator[str]:
    timeline = settings.timeline
    if not timeline.enabled:
        yield "timeline.enabled is false: workers with these settings write nothing down"
    elif since_seconds > timeline.retention_hours * 3600:
        yield f"entries are kept for {timeline.retention_hours} hours (timeline.retention_hours)"
