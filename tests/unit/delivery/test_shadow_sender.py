from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timezone

from aiokafka.errors import MessageSizeTooLargeError

from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.shadow_sender import ShadowSender
from eventproc.outcomes import NoResponse, Response
from eventproc.records import Headers
from eventproc.shadow.records import read_shadow_record
from settings import load_settings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record

AT = datetime(2026, 11, 25, 10, tzinfo=timezone.utc)


@dataclass
class FakeProducer:
    written: list[tuple[str, bytes | None, bytes | None, Headers]] = field(default_factory=list)
    acknowledge: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: int = 0

    async def send_and_wait(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            raise MessageSizeTooLargeError
        self.written.append((topic, key, value, headers))
        await self.acknowledge.wait()


def shadow_sender(producer: FakeProducer) -> ShadowSender:
    return ShadowSender(destination(), producer, "eventproc.shadow.requests", lambda: AT)


async def test_a_request_is_written_down_whole_and_answered_when_kafka_has_it() -> None:
    producer = FakeProducer()
    sending = asyncio.ensure_future(
        shadow_sender(producer).send({"X-Event-Id": "e1", "Authorization": "Bearer a.b.c"}, b"body")
    )
    await settle()
    assert not sending.done()
    producer.acknowledge.set()
    answer = await sending

    assert isinstance(answer, Response)
    assert answer.status == 200
    ((topic, key, value, headers),) = producer.written
    assert (topic, key) == ("eventproc.shadow.requests", b"test")
    request = read_shadow_record(headers, value)
    assert request is not None
    assert (request.url, request.body, request.at) == ("http://127.0.0.1:9/", b"body", AT)
    assert request.headers == {"X-Event-Id": "e1", "Authorization": "Bearer ********"}


async def test_an_event_is_done_only_when_its_record_is_acknowledged() -> None:
    producer = FakeProducer()
    parts = EngineParts(shadow_sender(producer), FakeDeadLetters(), FakeFlow(), FakeClock())
    engine = Engine(destination(), load_settings(env={}).delivery, parts)
    engine.assign((TOPIC, 0), 0, "")
    engine.accept(record(0, "t"))
    await settle()
    assert engine.partitions[TOPIC, 0].watermark == 0
    producer.acknowledge.set()
    await settle()
    assert engine.partitions[TOPIC, 0].watermark == 1


async def test_what_kafka_refuses_is_tried_again_and_not_lost() -> None:
    producer, clock = FakeProducer(refusals=1), FakeClock()
    producer.acknowledge.set()
    parts = EngineParts(shadow_sender(producer), FakeDeadLetters(), FakeFlow(), clock)
    engine = Engine(destination(), load_settings(env={}).delivery, parts)
    engine.assign((TOPIC, 0), 0, "")
    engine.accept(record(0, "t"))
    await settle()
    assert engine.partitions[TOPIC, 0].watermark == 0
    await clock.advance(2)
    assert len(producer.written) == 1
    assert engine.partitions[TOPIC, 0].watermark == 1


async def test_a_refusal_is_an_outcome_that_names_the_topic() -> None:
    answer = await shadow_sender(FakeProducer(refusals=1)).send({}, b"body")

    assert isinstance(answer, NoResponse)
    assert answer.detail == "not written to eventproc.shadow.requests: MessageSizeTooLargeError"
