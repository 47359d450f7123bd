"""Writes dead letters, and counts as done only what Kafka has acknowledged."""

from __future__ import annotations

import time

from eventproc.dead_letters import DeadLetter, dead_letter_headers
from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.producer import RecordProducer
from eventproc.payloads.platform_event import iso_timestamp
from eventproc.records import destination_key, read_origin


class DeadLetterWriter:
    """The one real ``DeadLetterSink``."""

    def __init__(self, producer: RecordProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def put(self, letter: DeadLetter, record: InboundRecord) -> None:
        """Write one dead letter and wait for its acknowledgement."""
        event_id = read_origin(record.headers).event_id or f"{record.partition[1]}/{record.offset}"
        headers = dead_letter_headers(letter, record.headers, iso_timestamp(time.time_ns() // 1_000_000))
        key = destination_key(letter.destination, event_id)
        await self._producer.send_and_wait(self._topic, key, record.value, headers)
