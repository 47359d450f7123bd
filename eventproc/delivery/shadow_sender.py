"""A ``Sender`` that sends nothing: it writes down what would have gone out (``delivery.mode: shadow``)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final, Protocol

from aiokafka.errors import KafkaError

from eventproc.destinations import Destination
from eventproc.outcomes import FailureKind, NoResponse, Response
from eventproc.records import Headers
from eventproc.shadow.records import shadow_record
from eventproc.shadow.request import SentRequest

WRITTEN: Final = Response(200, None, b"")
"""The answer of a receiver that takes everything."""


class Producer(Protocol):
    """What this needs of ``RecordProducer``."""

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Write one record and wait for its acknowledgement."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class ShadowSender:
    """Answers 200 when Kafka has acknowledged the record, so an event is done only then."""

    limit: Final = None
    """No bound is known of a topic."""

    def __init__(
        self, destination: Destination, producer: Producer, topic: str, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._destination = destination
        self._producer = producer
        self._topic = topic
        self._now = now

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """Write one request down. What Kafka refuses is tried again, as a request that failed."""
        destination = self._destination
        request = SentRequest(destination.endpoint.url, body, headers, destination.id)
        try:
            await self._producer.send_and_wait(self._topic, *shadow_record(request, self._now()))
        except KafkaError as error:
            problem = f"not written to {self._topic}: {type(error).__name__}"
            return NoResponse(FailureKind.PROTOCOL, problem)
        return WRITTEN

    async def close(self) -> None:
        """The producer is everybody's."""
