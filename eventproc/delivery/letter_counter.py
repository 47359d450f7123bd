"""Counts the dead letters that wait, on every worker, from the dead-letter topic itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from eventproc.identifiers import DestinationId
from eventproc.letter_count import LetterCount
from eventproc.redrive import TopicRecord
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

EXPIRY_SECONDS: Final = 60.0
"""How often the worker asks which dead letters Kafka has deleted."""


class LetterCounter(Service):
    """Follows the topic; ``waiting`` has the numbers once everything was read that was there at the start."""

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        self._topic = settings.topics.dead_letter
        self._count = LetterCount()
        self._is_read = False
        self._is_lost = False
        self._follower = TopicFollower(
            partial(topic_reader, settings, self._topic),
            self._apply,
            self._done,
            self._lost,
            self._deleted,
        )
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The reader starts and stops with this."""
        return [self._follower]

    @property
    def waiting(self) -> Mapping[DestinationId, int] | None:
        """How many wait, by destination; a destination without any is left out. None: not read yet."""
        return self._count.by_destination() if self._is_read else None

    @property
    def total(self) -> int:
        """How many wait of what was read so far."""
        return self._count.by_destination().total()

    def _apply(self, record: Any) -> None:
        # Headers are all that matters here, and values can be large.
        was_exact = self._count.is_exact
        self._count.add(TopicRecord(record.offset, record.key, None, list(record.headers), record.partition))
        if was_exact and not self._count.is_exact:
            log.warning("dead_letters.estimated", topic=self._topic, waiting=self.total)

    def _done(self, number: int) -> None:  # noqa: ARG002 - the first read is all that is asked for
        self._is_read, self._is_lost = True, False
        log.info("dead_letters.counted", topic=self._topic, waiting=self.total)

    def _lost(self, error: Exception) -> None:
        if not self._is_lost:  # the reader tries each second: Kafka may be unreachable for hours
            log.warning("dead_letters.reader_restarts", topic=self._topic, problem=repr(error))
        self._is_lost = True

    def _deleted(self) -> None:
        """No letter of it waits, nor can be redriven."""
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)
        self._count = LetterCount()

    @Service.timer(EXPIRY_SECONDS)
    async def _forget_expired(self) -> None:
        with contextlib.suppress(KafkaError, OSError):  # the reader reports it
            self._count.forget_before(await self._follower.beginnings())
