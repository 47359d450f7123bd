"""Which destinations have accepted an event, on all workers and over restarts; see ``eventproc.acceptance``.

Every worker follows the topic. An acceptance counts on its worker at once and is written down beside the
delivery; what Kafka does not take is written again with a later delivery. Before the topic is read, nothing
is written about rejections, and a destination counts as unproven: no event is given up meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.acceptance import (
    AcceptanceBook,
    Mark,
    Standing,
    accepted_record,
    rejecting_record,
    standing_of,
)
from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from eventproc.destinations import Destination
from eventproc.destinations.fingerprint import endpoint_fingerprint
from eventproc.identifiers import DestinationId
from eventproc.records import Headers
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

RETRY_SECONDS: Final = 10.0
"""After Kafka has refused a record, the next one about the destination is written so much later."""


class Recorder(Protocol):
    """What one destination's proof needs of the worker's ``Acceptances``."""

    @property
    def book(self) -> AcceptanceBook:
        """What is recorded, as far as it is read."""

    def accepted(self, destination: DestinationId, mark: Mark) -> None:
        """Write down that the destination has accepted an event, if it is not recorded."""

    def rejected(self, destination: DestinationId, mark: Mark) -> None:
        """Write down that it began to reject, if that is not recorded."""


class Producer(Protocol):
    """What this needs of ``RecordProducer``."""

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Write one record and wait for its acknowledgement."""


class Acceptances(Service):
    """Follows the topic and writes to it."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        clock: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        self.book = AcceptanceBook()
        self._topic = settings.topics.acceptances
        self._producer = producer
        self._clock = clock
        self._is_loaded = False
        self._next_write: dict[bytes, float] = {}
        self._before_loaded: dict[DestinationId, Mark] = {}
        self._follower = TopicFollower(
            partial(topic_reader, settings, self._topic), self._apply, self._done, _lost, self._deleted
        )
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The reader starts and stops with this."""
        return [self._follower]

    def accepted(self, destination: DestinationId, mark: Mark) -> None:
        """Write down that the destination has accepted an event, if it is not recorded."""
        if not self._is_loaded:
            self._before_loaded.setdefault(destination, mark)
            return
        known = self.book.accepted.get(destination)
        if known is None or known.fingerprint != mark.fingerprint:
            self._write(*accepted_record(destination, mark))

    def rejected(self, destination: DestinationId, mark: Mark) -> None:
        """Write down that it began to reject, if that is not recorded."""
        known = self.book.rejecting.get(destination)
        if self._is_loaded and (known is None or known.fingerprint != mark.fingerprint):
            self._write(*rejecting_record(destination, mark))

    def _write(self, key: bytes, value: bytes) -> None:
        if self._clock() >= self._next_write.get(key, 0.0):
            self._next_write[key] = self._clock() + RETRY_SECONDS
            self.add_future(self._send(key, value))

    async def _send(self, key: bytes, value: bytes) -> None:
        try:
            await self._producer.send_and_wait(self._topic, key, value, [])
        except KafkaError as error:
            log.warning("acceptance.not_written", topic=self._topic, problem=repr(error)[:200])

    def _apply(self, record: Any) -> None:
        self.book.apply(record.key, record.value)

    def _done(self, number: int) -> None:  # noqa: ARG002 - one is asked for at the start and after a deletion
        self._is_loaded = True
        before, self._before_loaded = self._before_loaded, {}
        for destination, mark in before.items():
            self.accepted(destination, mark)

    def _deleted(self) -> None:
        """Later deliveries write again what this worker knows."""
        self.book = AcceptanceBook()
        self._is_loaded = False
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)


class DestinationProof:
    """Whether one destination has accepted an event as it is configured now.

    An acceptance that was seen here counts until the configuration changes, whatever another worker with
    another configuration records meanwhile.

    Args:
        recorder: the worker's; None: the destination counts as proven, whatever it answers.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._destination: Destination | None = None
        self._endpoint = ""
        self._max_seconds = 0.0
        self._accepted = ""
        """The fingerprint under which an event was accepted here, or that was found in the book."""

    def configure(self, destination: Destination, max_seconds: float) -> bool:
        """Go by this configuration from now on; returns whether the destination is reached otherwise."""
        before, self._destination = self._destination, destination
        self._max_seconds = max_seconds
        endpoint = endpoint_fingerprint(destination.endpoint)
        same_endpoint, self._endpoint = endpoint == self._endpoint, endpoint
        return not same_endpoint or (
            before is not None
            and before.authenticator.fingerprint(0.0) != destination.authenticator.fingerprint(0.0)
        )

    def standing(self, now: float) -> Standing:
        """Return what a rejection means; ``now`` in seconds since the epoch."""
        recorder, fingerprint = self._recorder, self._fingerprint(now)
        if recorder is None or fingerprint == self._accepted:
            return Standing.PROVEN
        id_, book = self._known().id, recorder.book
        found = standing_of(
            fingerprint, book.accepted.get(id_), book.rejecting.get(id_), now, self._max_seconds
        )
        if found is Standing.PROVEN:
            self._accepted = fingerprint
        return found

    def accepted(self, now: float) -> None:
        """Note an acceptance at ``now``."""
        if self._recorder is not None:
            self._accepted = fingerprint = self._fingerprint(now)
            self._recorder.accepted(self._known().id, Mark(fingerprint, now))

    def rejected(self, now: float) -> Standing:
        """Note a rejection at ``now``; returns what it means."""
        found = self.standing(now)
        if found is Standing.UNPROVEN and self._recorder is not None:
            self._recorder.rejected(self._known().id, Mark(self._fingerprint(now), now))
        return found

    def _known(self) -> Destination:
        assert self._destination is not None  # noqa: S101 - ``configure`` comes first
        return self._destination

    def _fingerprint(self, now: float) -> str:
        return f"{self._endpoint} {self._known().authenticator.fingerprint(now)}"


def _lost(error: Exception) -> None:
    log.warning("acceptances.reader_restarts", problem=repr(error))
