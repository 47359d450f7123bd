"""Records into our own topics: idempotent, in order per partition, acknowledged by all in-sync replicas.

aiokafka's producer called directly, which is three times as fast as Faust's ``topic.send`` (see the design).
It has one request to a broker under way at a time and sends next what has come meanwhile: batches by
themselves, the larger the more there is to do, so nothing waits for company (no linger). Sends never
expire: an expired batch behind which a later one succeeds would leave a gap that the sinks' replay filter
takes for "already written".
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownError, UnsupportedVersionError
from mode import Service

from eventproc.delivery.aiokafka_internals import never_expire, partition_of, stop_at_refusal
from eventproc.delivery.kafka_clients import connection_options
from eventproc.record_limits import RecordLimits
from eventproc.records import Headers
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

BATCH_BYTES: Final = 256 * 1024
RETRY_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 3.0


class RecordProducer(Service):
    """The worker's one producer.

    Once Kafka has refused a record of one of ``ordered_topics`` for good, that partition takes no more: every
    later send to it fails with the same error.
    """

    def __init__(
        self,
        settings: Settings,
        ordered_topics: frozenset[str],
        limits: RecordLimits | None = None,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._limits = limits or RecordLimits(settings.topics.max_message_bytes)
        self._ordered_topics = ordered_topics
        self._producer: AIOKafkaProducer | None = None
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Connect; without idempotence where the broker does not know it (the embedded one)."""
        try:
            self._producer = await self._connect(idempotent=True)
        except (UnknownError, UnsupportedVersionError) as error:
            log.warning("producer.not_idempotent", problem=repr(error))
            self._producer = await self._connect(idempotent=False)

    async def _connect(self, *, idempotent: bool) -> AIOKafkaProducer:
        """A started producer.

        Order per partition does not hang on idempotence: aiokafka has one batch of a partition under way at a
        time, and batches never expire. Without it a retry can write a record twice, which the sinks' replay
        filter sees.
        """
        producer = AIOKafkaProducer(
            **connection_options(self._settings),
            enable_idempotence=idempotent,
            acks="all",
            max_batch_size=min(BATCH_BYTES, self._limits.smallest),
            max_request_size=self._limits.request_bytes,
            partitioner=partition_of,
            metadata_max_age_ms=60_000,
        )
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise
        never_expire(producer)
        # All topics in one request; otherwise the first record to each of a thousand topics asks for one.
        producer.client.set_topics(self._ordered_topics)
        stop_at_refusal(producer, lambda topic: topic in self._ordered_topics)
        return producer

    async def on_stop(self) -> None:
        """Send what is buffered within a bound, then disconnect."""
        if self._producer is not None:
            try:
                await asyncio.wait_for(self._producer.stop(), CLOSE_SECONDS)
            except asyncio.TimeoutError:
                log.warning("producer.closed_with_unsent_records")

    async def add_ordered_topic(self, topic: str) -> None:
        """One more of these; raises a ``KafkaError`` when its partitions are not known yet."""
        self._ordered_topics |= {topic}
        await self.partitions_of(topic)

    async def partitions_of(self, topic: str) -> int:
        """How many partitions the topic has; raises a ``KafkaError`` when that is not to be had."""
        assert self._producer is not None  # noqa: S101 - started before anything sends
        return len(await self._producer.partitions_for(topic))

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        """Append one record to its partition's batch; the future ends when Kafka has acknowledged it.

        Without ``partition`` the key decides. Waits while the topic's metadata or the buffer is not to be
        had, for as long as it takes.
        """
        assert self._producer is not None  # noqa: S101 - started before anything sends
        warned = False
        while True:
            try:
                future: asyncio.Future[Any] = await self._producer.send(
                    topic, value, key, partition=partition, headers=headers
                )
                return future
            except KafkaError as error:  # noqa: PERF203 - a retry loop
                if not error.retriable:
                    raise
                if not warned:
                    log.warning("producer.waiting", topic=topic, problem=repr(error))
                    warned = True
                await asyncio.sleep(RETRY_SECONDS)

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Send one record and wait for its acknowledgement."""
        await (await self.send(topic, key, value, headers))
