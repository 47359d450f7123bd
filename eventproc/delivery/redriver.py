"""Dead-letter topic -> destination's topic: reads what waits, sends what an operator chose.

Of each event first the record for its destination is acknowledged, then the note that takes it off the list.
Whatever ends this program in between leaves the event in both: a duplicate at most, never a loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog

from eventproc.dead_letters import redriven_note
from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    admin_client,
    all_partitions,
    as_unavailable,
    consumer_client,
    producer_client,
    scan,
    whole_spans,
    within,
)
from eventproc.delivery.journal_writer import JournalWriter
from eventproc.records import Headers
from eventproc.redrive import Entry, Plan, Send, TopicRecord, WaitingLetters, in_rounds
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.redrive")

ROUND_SENDS: Final = 100


class Producer(Protocol):
    """What a redrive needs of ``RecordProducer``."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Append one record; the future ends when Kafka has acknowledged it."""


class Redriver:
    """One operator's look at the dead-letter topic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.dead_letter
        self._keeps_journal = False

    async def read_waiting(self) -> list[Entry]:
        """Every dead letter that waits, in the topic's order; none when the topic is not there.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        letters = WaitingLetters()
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                topics = await all_partitions(admin)
            partitions = topics.get(self._topic, [])
            self._keeps_journal = self._settings.timeline.enabled and self._settings.topics.attempts in topics
            async with consumer_client(self._settings) as consumer:
                async for record in scan(consumer, await whole_spans(consumer, partitions)):
                    letters.add(TopicRecord(record.offset, record.key, record.value, list(record.headers)))
        if letters.foreign:
            log.warning("dead_letter_topic.foreign_records", topic=self._topic, count=letters.foreign)
        return letters.entries()

    async def send(self, plan: Plan, on_progress: Callable[[int], None]) -> None:
        """Send everything of a plan; ``on_progress`` is told how many are done.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused; what is not done still waits.
        """
        with as_unavailable(self._settings):
            async with producer_client(self._settings) as producer:
                sending = partial(send_all, plan.sends, producer, self._topic, plan.at, on_progress)
                if not self._keeps_journal:
                    await sending()
                    return
                async with JournalWriter(self._settings, producer) as journal:
                    await sending(sent=partial(journal.redriven, mark=plan.at))


async def send_all(
    sends: Sequence[Send],
    producer: Producer,
    topic: str,
    at: str,
    on_progress: Callable[[int], None],
    *,
    sent: Callable[[Entry], None] = lambda _entry: None,
) -> None:
    """Send in rounds; ``topic`` is where the notes go. Ends at the first round in which anything failed.

    ``sent`` hears of each event that its destination's topic has.

    Raises:
        KafkaError: as the producer raised it, after the notes of what was acknowledged.
        asyncio.TimeoutError: a round was not acknowledged in time.
    """
    done = 0
    for group in in_rounds(sends, ROUND_SENDS):
        placed = await asyncio.gather(*(_place(producer, send) for send in group), return_exceptions=True)
        notes = []
        for send, place in zip(group, placed, strict=True):
            if not isinstance(place, BaseException):
                notes.append(_note(producer, topic, send, at, place))
                sent(send.entry)
        await asyncio.gather(*notes)
        done += len(notes)
        on_progress(done)
        for place in placed:
            if isinstance(place, BaseException):
                raise place


async def _place(producer: Producer, send: Send) -> tuple[int, int]:
    """Partition and offset where the event is now."""
    metadata = await _acknowledged(producer, send.topic, send.key, send.value, send.headers)
    return metadata.partition, metadata.offset


async def _note(producer: Producer, topic: str, send: Send, at: str, place: tuple[int, int]) -> None:
    entry = send.entry
    headers = redriven_note(entry.destination, entry.lane, at, entry.offset, place)
    await _acknowledged(producer, topic, entry.key, b"", headers)


async def _acknowledged(
    producer: Producer, topic: str, key: bytes, value: bytes | None, headers: Headers
) -> Any:
    async def send_and_wait() -> Any:
        return await (await producer.send(topic, key, value, headers))

    return await within(ANSWER_SECONDS, send_and_wait())
