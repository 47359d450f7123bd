"""The operator's hand on every worker: destinations paused and resumed by a compacted topic.

Each worker follows the whole topic, so a pause outlives restarts, holds for whoever gets the partitions in a
rebalance, and needs nobody to be asked. Engines start paused and stay so until the topic is read: a paused
destination must not get a burst because a worker is young.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    as_unavailable,
    producer_client,
    read_topic,
    within,
)
from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from eventproc.delivery.topics import control_plan, declare_topics
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause, PauseBook, UnreadablePauseError, pause_value
from eventproc.times import iso
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")


class Pausable(Protocol):
    """What can be paused: an engine."""

    def pause(self) -> None:
        """Start nothing more until ``resume``; what is in flight goes on."""

    def resume(self) -> None:
        """Go on after ``pause``."""

    @property
    def is_paused_by_operator(self) -> bool:
        """Whether ``pause`` is in force."""


class Control(Service):
    """Pauses and resumes this worker's engines as the topic says; ``loaded`` is set when all is read."""

    def __init__(self, settings: Settings, engines: Mapping[DestinationId, Pausable], **kwargs: Any) -> None:
        self.loaded = asyncio.Event()
        self._engines = engines
        self._book = PauseBook()
        self._topic = settings.topics.control
        self._follower = TopicFollower(
            partial(topic_reader, settings, self._topic), self._apply, self._done, _lost, self._deleted
        )
        for engine in engines.values():
            engine.pause()
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The reader starts and stops with this."""
        return [self._follower]

    @property
    def paused(self) -> Mapping[DestinationId, Pause]:
        """What an operator has paused, as far as it is read."""
        return self._book.paused

    def adopt(self, destination: DestinationId) -> None:
        """This destination's engine has come since the start."""
        if self.loaded.is_set():
            self._obey(destination)
        else:
            self._engines[destination].pause()

    def _apply(self, record: Any) -> None:
        try:
            destination = self._book.apply(record.key, record.value)
        except UnreadablePauseError as error:
            log.warning("control.unreadable", offset=record.offset, problem=str(error))
            return
        if destination is not None and self.loaded.is_set():
            self._obey(destination)

    def _deleted(self) -> None:
        """Pauses hold until the topic is read again; then what it no longer says is resumed."""
        self._book = PauseBook()
        self.loaded.clear()
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)

    def _done(self, number: int) -> None:  # noqa: ARG002 - one is asked for at the start and after a deletion
        self.loaded.set()
        log.info("control.loaded", paused=len(self._book.paused))
        for destination, engine in self._engines.items():
            if destination in self._book.paused:
                engine.pause()
                self._tell(destination)
            else:
                engine.resume()

    def _obey(self, destination: DestinationId) -> None:
        engine = self._engines.get(destination)
        if engine is None:
            return
        is_paused = destination in self._book.paused
        if is_paused == engine.is_paused_by_operator:
            return
        if is_paused:
            engine.pause()
            self._tell(destination)
        else:
            engine.resume()
            log.info("destination.resumed", destination=destination)

    def _tell(self, destination: DestinationId) -> None:
        pause = self._book.paused[destination]
        log.info("destination.paused", destination=destination, by=pause.by, reason=pause.reason, at=pause.at)


async def set_paused(
    settings: Settings, destination_ids: Collection[DestinationId], paused: bool, by: str, reason: str
) -> None:
    """Tell all workers to pause these destinations, or to resume them; ``reason`` counts for a pause only.

    Returns when Kafka has acknowledged all of it. Workers hear of it within moments; what is in flight goes
    on.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused; some of it may be in force all the same.
    """
    value = pause_value(Pause(by, reason, iso(datetime.now(timezone.utc)))) if paused else None
    with as_unavailable(settings):
        await within(ANSWER_SECONDS, declare_topics(settings, [control_plan(settings)]))
        async with producer_client(settings) as producer:
            sends = [
                producer.send_and_wait(settings.topics.control, id_.encode("utf-8", "replace"), value, [])
                for id_ in destination_ids
            ]
            try:
                await within(ANSWER_SECONDS, asyncio.gather(*sends))
            except (KafkaError, asyncio.TimeoutError) as error:
                topic = settings.topics.control
                problem = producer.problem_of(topic) or repr(error)
                raise BrokerUnavailableError(
                    f"Topic {topic} does not accept the record: {problem}. Not all workers may hear of it; "
                    "put the topic right and run the command again."
                ) from error


async def read_paused(settings: Settings) -> Mapping[DestinationId, Pause]:
    """What is paused now, from the topic alone.

    Raises:
        BrokerUnavailableError: Kafka did not answer, or refused.
    """
    book = PauseBook()
    with as_unavailable(settings):
        async for record in read_topic(settings, settings.topics.control):
            with contextlib.suppress(UnreadablePauseError):
                book.apply(record.key, record.value)
    return book.paused


def _lost(error: Exception) -> None:
    log.warning("control.reader_restarts", problem=repr(error))
