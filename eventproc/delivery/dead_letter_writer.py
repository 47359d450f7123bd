"""Writes dead letters, and counts as done only what Kafka has acknowledged."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

import structlog

from eventproc.dead_letters import DeadLetter, dead_letter_headers, letter_id, record_place
from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.producer import RecordProducer
from eventproc.delivery.topic_troubles import TopicTroubles
from eventproc.invalid_copy import invalid_copy
from eventproc.payloads.platform_event import iso_timestamp
from eventproc.record_limits import RecordLimits, record_bytes
from eventproc.records import Headers, Source, read_origin
from settings.topics import TopicsSettings

log = structlog.stdlib.get_logger("eventproc.delivery")

TOO_LARGE: Final = "dead-letter-too-large"


class DeadLetterWriter:
    """The one real ``DeadLetterSink``."""

    def __init__(
        self, producer: RecordProducer, limits: RecordLimits, topics: TopicsSettings, troubles: TopicTroubles
    ) -> None:
        self._producer = producer
        self._limits = limits
        self._topic = topics.dead_letter
        self._invalid_topic = topics.invalid
        self._troubles = troubles

    async def put(self, letter: DeadLetter, record: InboundRecord) -> bool:
        """Write one dead letter, for as long as Kafka takes to acknowledge it.

        The router leaves room for it in every copy. Another program's record in our topic may have none: it
        goes to the invalid topic, with its place in the destination's topic, and the answer is False.
        """
        place = (*record.partition, record.offset)
        headers = dead_letter_headers(letter, record.headers, iso_timestamp(time.time_ns() // 1_000_000))
        if read_origin(record.headers).source is None:
            headers.append(record_place(place))
        key = letter_id(letter.destination, headers, place).key
        size, limit = record_bytes(key, record.value, headers), self._limits.of(self._topic)
        if size <= limit:
            await self._write(self._topic, key, record.value, headers)
            return True
        why = f"{letter.reason.value}: {letter.detail}"
        await self._put_aside(record, f"its dead letter needs {size} bytes of at most {limit}; {why}")
        return False

    async def _put_aside(self, record: InboundRecord, detail: str) -> None:
        copy = invalid_copy(
            record.key,
            record.value,
            record.headers,
            source=Source(*record.partition, record.offset, record.timestamp_ms),
            reason=TOO_LARGE,
            detail=detail,
            limit=self._limits.of(self._invalid_topic),
        )
        topic, partition = record.partition
        log.warning(
            "record.invalid",
            topic=topic,
            partition=partition,
            offset=record.offset,
            reason=TOO_LARGE,
            detail=detail,
        )
        await self._write(self._invalid_topic, copy.key, copy.value, copy.headers)

    async def _write(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        write = partial(self._producer.send_and_wait, topic, key, value, headers)
        await self._troubles.until_written(topic, write)
