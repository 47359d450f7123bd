"""Records into our own topics: idempotent, in order per partition, acknowledged by all in-sync replicas.

aiokafka's producer called directly, which is three times as fast as Faust's ``topic.send`` (see the design).
It has one request to a broker under way at a time and sends next what has come meanwhile: batches by
themselves, the larger the more there is to do, so nothing waits for company (no linger). Sends never
expire: an expired batch behind which a later one succeeds would leave a gap that the sinks' replay filter
takes for "already written".

Ordered topics (the destinations') and all others have a producer each, so that a dead-letter topic without
in-sync replicas costs no delivery. A refusal ends differently for them::

    ordered    nothing more is written until ``readmit``, for its caller knows what comes next
    others     the next record is written; where aiokafka's producer cannot, a new one does
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownError, UnsupportedVersionError
from mode import Service

from eventproc.delivery.aiokafka_internals import partition_of
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.producer_internals import BatchWatch, never_expire
from eventproc.record_limits import RecordLimits
from eventproc.records import Headers
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")

BATCH_BYTES: Final = 256 * 1024
RETRY_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 3.0
RETIRE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class _Connected:
    """One producer of aiokafka's."""

    producer: AIOKafkaProducer
    watch: BatchWatch

    async def close(self, seconds: float) -> bool:
        """Send what is buffered within a bound, then disconnect; whether all of it was sent."""
        stop = asyncio.ensure_future(self.producer.stop())
        done, _ = await asyncio.wait([stop], timeout=seconds)
        if not done:
            self.watch.give_up()
            await asyncio.wait([stop], timeout=CLOSE_SECONDS)
            stop.cancel()
        return bool(done)


class RecordProducer(Service):
    """The worker's producers: one for ``ordered_topics``, one for all others.

    Once Kafka has refused a record of an ordered topic for good, that partition takes no more: every later
    send to it fails with the same error, until ``readmit``.
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
        self._ordered: list[_Connected] = []
        """The first is for every topic that is not in ``_moved``."""
        self._moved: dict[str, _Connected] = {}
        self._other: _Connected | None = None
        self._connecting = asyncio.Lock()
        self._is_idempotent = True
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Connect; without idempotence where the broker does not know it (the embedded one)."""
        if self._ordered_topics:
            self._ordered.append(await self._connect())
        else:
            self._other = await self._connect()

    async def on_stop(self) -> None:
        """Send what is buffered within a bound, then disconnect."""
        open_ = [*self._ordered, *([self._other] if self._other else [])]
        if not all(await asyncio.gather(*(one.close(CLOSE_SECONDS) for one in open_))):
            log.warning("producer.closed_with_unsent_records")

    # -- topics ------------------------------------------------------------------------------------

    async def add_ordered_topic(self, topic: str) -> None:
        """One more of these; raises a ``KafkaError`` when its partitions are not known yet."""
        self._ordered_topics |= {topic}
        await self.partitions_of(topic)

    async def partitions_of(self, topic: str) -> int:
        """How many partitions the topic has; raises a ``KafkaError`` when that is not to be had."""
        return len(await (await self._of(topic)).producer.partitions_for(topic))

    def is_known(self, topic: str) -> bool:
        """Whether an ordered topic's partitions are known, so that a send to it does not wait for them."""
        cluster = self._ordered_of(topic).producer.client.cluster
        return cluster.partitions_for_topic(topic) is not None

    def problem_of(self, topic: str) -> str | None:
        """What Kafka last answered about a topic that does not take records at present; None: nothing."""
        open_ = [*self._ordered, *([self._other] if self._other else [])]
        return next(
            (one.watch.problems[topic] for one in reversed(open_) if topic in one.watch.problems), None
        )

    # -- records -----------------------------------------------------------------------------------

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
        warned = False
        while True:
            try:
                connected = await self._of(topic)
                future: asyncio.Future[Any] = await connected.producer.send(
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
        """Send one record and wait for its acknowledgement.

        A batch that is too large may be made of records that are not: then the record goes alone.
        """
        try:
            await (await self.send(topic, key, value, headers))
        except MessageSizeTooLargeError:
            if topic in self._ordered_topics:
                raise
            await self.send_alone(topic, key, value, headers)

    async def send_alone(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send one record as a batch of its own and wait for its acknowledgement.

        Raises:
            KafkaError: Kafka refused it, or the topic's partitions are not known in time.
        """
        producer = (await self._of(topic)).producer
        partitions = list(await producer.partitions_for(topic))
        batch = producer.create_batch()
        batch.append(key=key, value=value, timestamp=None, headers=headers)
        batch.close()
        partition = partition_of(key, partitions, partitions)
        await (await producer.send_batch(batch, topic, partition=partition))

    # -- refusals of ordered topics ----------------------------------------------------------------

    async def readmit(self, topic: str) -> None:
        """Let an ordered topic take records again after a refusal, by another producer if need be.

        Call it when nothing that was sent to the topic is unanswered.
        """
        if self._ordered_of(topic).watch.readmit(topic):
            return
        usable = (one for one in self._ordered if one.watch.readmit(topic))
        if (connected := next(usable, None)) is None:
            connected = await self._connect()
            self._ordered.append(connected)
        self._moved[topic] = connected
        unused = [one for one in self._ordered[1:] if one not in self._moved.values()]
        for one in unused:
            self._ordered.remove(one)
            self._retire(one)

    def withdraw(self, topic: str) -> None:
        """Take an ordered topic's records back from aiokafka; one that was sent may have been written.

        The future of each ends, at the latest when Kafka answers.
        """
        self._ordered_of(topic).watch.withdraw(topic)

    # -- producers ---------------------------------------------------------------------------------

    async def _of(self, topic: str) -> _Connected:
        if topic in self._ordered_topics:
            return self._ordered_of(topic)
        async with self._connecting:
            if self._other is None:
                self._other = await self._connect()
            elif self._other.watch.is_tainted:
                log.warning("producer.replaced", topic=topic, problem=self.problem_of(topic))
                old, self._other = self._other, await self._connect()
                self._retire(old)
            return self._other

    def _ordered_of(self, topic: str) -> _Connected:
        return self._moved.get(topic) or self._ordered[0]

    def _retire(self, connected: _Connected) -> None:
        self.add_future(self._close_retired(connected))

    @staticmethod
    async def _close_retired(connected: _Connected) -> None:
        with contextlib.suppress(KafkaError):
            await connected.close(RETIRE_SECONDS)

    async def _connect(self) -> _Connected:
        if self._is_idempotent:
            try:
                return await self._open(idempotent=True)
            except (UnknownError, UnsupportedVersionError) as error:
                log.warning("producer.not_idempotent", problem=repr(error))
                self._is_idempotent = False
        return await self._open(idempotent=False)

    async def _open(self, *, idempotent: bool) -> _Connected:
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
        if not self._ordered:
            # All topics in one request; otherwise the first record to each of a thousand topics asks for one.
            producer.client.set_topics(self._ordered_topics)
        return _Connected(producer, BatchWatch(producer, lambda topic: topic in self._ordered_topics))
