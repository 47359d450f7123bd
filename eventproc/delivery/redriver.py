"""Dead-letter topic -> destination's topic: reads what waits, sends what an operator chose.

Of each event first the record for its destination is acknowledged, then the note that takes it off the list.
Whatever ends this program in between leaves the event in both: a duplicate at most, never a loss. A kill does
so to one round at most (``ROUND_SENDS`` events), a signal to none, because the round under way is finished
first.

What is sent is what ``read_waiting`` returned. Before the first record is written, the topic is read on to
its present end: when another redrive has taken off one of the events meanwhile, nothing is sent. Two redrives
that begin to send in the same moment both send; nothing locks the topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

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
from eventproc.redrive import (
    Entry,
    LaneId,
    LetterEnd,
    Plan,
    RefusedLettersError,
    Send,
    TopicRecord,
    WaitingLetters,
    in_rounds,
    still_waiting,
)
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
        self._letters = WaitingLetters()
        self._read_to: dict[TopicPartition, int] = {}

    async def read_waiting(self) -> list[Entry]:
        """Every dead letter that waits, in the topic's order; none when the topic is not there.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                topics = await all_partitions(admin)
            self._keeps_journal = self._settings.timeline.enabled and self._settings.topics.attempts in topics
            async with consumer_client(self._settings) as consumer:
                await self._read_on(consumer, topics.get(self._topic, []))
        if self._letters.foreign:
            log.warning("dead_letter_topic.foreign_records", topic=self._topic, count=self._letters.foreign)
        return self._letters.entries()

    async def send(self, plan: Plan, on_progress: Callable[[int], None]) -> None:
        """Send everything of a plan; ``on_progress`` is called with how many are done.

        Raises:
            StalePlanError: another redrive has sent some of it meanwhile; nothing was sent.
            RefusedLettersError: Kafka refuses some as too large; the others were sent.
            BrokerUnavailableError: Kafka did not answer, or refused; what is not done still waits.
        """
        with as_unavailable(self._settings):
            async with consumer_client(self._settings) as consumer:
                await self._read_on(consumer, list(self._read_to))
            sends = still_waiting(plan.sends, self._letters.entries()) if self._read_to else plan.sends
            async with producer_client(self._settings) as producer:
                sending = partial(send_all, sends, producer, self._topic, plan.at, on_progress)
                if not self._keeps_journal:
                    await sending()
                    return
                async with JournalWriter(self._settings, producer) as journal:
                    await sending(sent=partial(journal.redriven, mark=plan.at))

    async def _read_on(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Read from where reading ended to the topic's present end."""
        spans = {
            one: (max(begin, self._read_to.setdefault(one, begin)), end)
            for one, (begin, end) in (await whole_spans(consumer, partitions)).items()
        }
        async for record in scan(consumer, spans):
            self._letters.add(
                TopicRecord(record.offset, record.key, record.value, list(record.headers), record.partition)
            )
            self._read_to[TopicPartition(record.topic, record.partition)] = record.offset + 1


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

    A letter that is too large for its topic fails alone: it waits on, and with it the later ones of its
    transaction; all others are sent. ``sent`` is called with each event that its destination's topic has.
    What ``on_progress`` raises ends the sending between two rounds, when every event that was sent has its
    note.

    Raises:
        KafkaError: as the producer raised it, after the notes of what was acknowledged.
        asyncio.TimeoutError: a round was not acknowledged in time.
        RefusedLettersError: at the end, when some were too large.
    """
    done = 0
    refused: dict[LaneId, Entry] = {}
    following = 0
    for group in in_rounds(sends, ROUND_SENDS):
        going = [send for send in group if send.entry.lane_id not in refused]
        following += len(group) - len(going)
        placed = await asyncio.gather(*(_place(producer, send) for send in going), return_exceptions=True)
        notes: list[Coroutine[Any, Any, None]] = []
        failures: list[BaseException] = []
        for send, place in zip(going, placed, strict=True):
            if isinstance(place, MessageSizeTooLargeError):
                refused[send.entry.lane_id] = send.entry
            elif isinstance(place, BaseException):
                failures.append(place)
            else:
                notes += [_note(producer, topic, send.entry, end, at, place) for end in send.entry.ends]
                sent(send.entry)
                done += 1
        await asyncio.gather(*notes)
        on_progress(done)
        if failures:
            raise failures[0]
    if refused:
        raise RefusedLettersError(list(refused.values()), following)


async def _place(producer: Producer, send: Send) -> tuple[int, int]:
    """Partition and offset where the event is now."""
    metadata = await _acknowledged(producer, send.topic, send.key, send.value, send.headers)
    return metadata.partition, metadata.offset


async def _note(  # noqa: PLR0917 - one record's parts
    producer: Producer, topic: str, entry: Entry, end: LetterEnd, at: str, place: tuple[int, int]
) -> None:
    headers = redriven_note(entry.destination, entry.lane, at, end.place, place)
    await _acknowledged(producer, topic, end.key, b"", headers)


async def _acknowledged(
    producer: Producer, topic: str, key: bytes, value: bytes | None, headers: Headers
) -> Any:
    async def send_and_wait() -> Any:
        return await (await producer.send(topic, key, value, headers))

    return await within(ANSWER_SECONDS, send_and_wait())
