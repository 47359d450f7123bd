"""Steps 1 to 3 at work, with a producer that acknowledges when the test says so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from aiokafka.errors import TopicAuthorizationFailedError
from typing_extensions import Self

from agents.router import MAX_OUTSTANDING, Router, RouterTopics
from eventproc.customer_index import CustomerIndex
from eventproc.delivery import outlets, topic_troubles
from eventproc.delivery.held_bytes import HeldBytes
from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.journal import Tracer
from eventproc.delivery.topic_troubles import TopicTroubles
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientRule
from eventproc.payloads import Sep
from eventproc.record_limits import RecordLimits, record_bytes
from eventproc.records import header_values, read_origin
from eventproc.routing import RoutingTable
from tests.fakes.clock import settle
from tests.fakes.dead_letters import FakeFlow

SOURCE = ("TRANSACTION", 0)
BUSINESS, WALLET = DestinationId("callback-api"), DestinationId("client.w.sep24")


@dataclass
class FakeProducer:
    sent: list[tuple[str, bytes | None, bytes | None, Any]] = field(default_factory=list)
    futures: list[asyncio.Future[None]] = field(default_factory=list)
    acknowledges: bool = True
    refusal: Exception | None = None
    refusals: dict[str, Exception] = field(default_factory=dict)

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Any:
        if (refusal := self.refusals.get(topic, self.refusal)) is not None:
            raise refusal
        self.sent.append((topic, key, value, headers))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.acknowledges:
            future.set_result(None)
        return future

    def is_known(self, _topic: str) -> bool:
        return True

    def problem_of(self, _topic: str) -> str | None:
        return None

    async def readmit(self, _topic: str) -> None:
        """Nothing was held back."""

    def withdraw(self, topic: str) -> None:
        raise AssertionError(f"nothing stands still here: {topic}")

    async def send_alone(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        await self.send_and_wait(topic, key, value, headers)

    async def send_and_wait(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        await (await self.send(topic, key, value, headers))


class FakeDirectory:
    def __init__(self, *, ready: bool = True) -> None:
        self.index = CustomerIndex()
        self.ready = asyncio.Event()
        if ready:
            self.ready.set()


class World:
    def __init__(
        self,
        *,
        ready: bool = True,
        max_record_bytes: int = 10_000,
        tracer: Tracer | None = None,
        memory_bytes: int = 1_000_000,
    ) -> None:
        self.limits = RecordLimits(max_record_bytes)
        memory = HeldBytes(memory_bytes)
        self.producer = FakeProducer()
        self.troubles = TopicTroubles()
        self.flow = FakeFlow()
        self.directory = FakeDirectory(ready=ready)
        table = RoutingTable([ClientRule("w", endpoints={Sep.SEP24: WALLET})], BUSINESS)
        topics = RouterTopics({BUSINESS: "to.business", WALLET: "to.wallet"}, "invalid", "dead", "customers")
        parts: Any = (table, topics, self.producer, self.directory, self.flow)
        self.router = Router(*parts, limits=self.limits, troubles=self.troubles, memory=memory, tracer=tracer)
        self.router.assign(SOURCE, 0, "")

    def accept(self, offset: int, value: bytes | None, headers: Any = ()) -> None:
        self.router.accept(InboundRecord(SOURCE, offset, b"key", value, list(headers), 1_795_500_000_123))

    def written_to(self, topic: str) -> list[tuple[str, bytes | None, bytes | None, Any]]:
        return [record for record in self.producer.sent if record[0] == topic]

    @property
    def watermark(self) -> int | None:
        return self.router.partitions[SOURCE].watermark

    async def run(self) -> None:
        await self.router.maybe_start()
        await settle()

    async def __aenter__(self) -> Self:
        await self.run()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.router.stop()


def event(number: int, **members: Any) -> bytes:
    transaction = {"id": f"t{number}", "sep": "24", "client_name": "w", **members}
    return json.dumps(
        {"type": "transaction_created", "id": f"e{number}", "transaction": transaction}
    ).encode()


async def test_an_event_goes_to_each_of_its_topics_untouched_and_re_keyed() -> None:
    async with World() as world:
        world.accept(0, event(1), [("traceparent", b"00-abc")])
        await settle()
        assert [(topic, key) for topic, key, _, _ in world.producer.sent] == [
            ("to.business", b"t1"),
            ("to.wallet", b"t1"),
        ]
        assert {value for _, _, value, _ in world.producer.sent} == {event(1)}
        origin = read_origin(world.producer.sent[0][3])
        assert (origin.event_id, origin.event_type) == ("e1", "transaction_created")
        assert origin.traceparent == b"00-abc"
        assert origin.source is not None
        assert (origin.source.offset, origin.source.timestamp_ms) == (0, 1_795_500_000_123)
        assert world.watermark == 1


class FakeTracer:
    def routing(self, event: Any, source: Any, route: Any, traceparent: bytes | None) -> bytes | None:
        return None if traceparent is None else b"router of " + traceparent

    def attempting(self, destination: Any, job: Any, headers: Any) -> None:
        raise AssertionError("no request is made here")


@pytest.mark.parametrize(("tracer", "wanted"), [(None, b"tp"), (FakeTracer(), b"router of tp")])
async def test_the_trace_goes_on_with_every_copy(tracer: Tracer | None, wanted: bytes) -> None:
    async with World(tracer=tracer) as world:
        world.accept(0, event(0, client_name="w"), [("traceparent", b"tp"), ("type", b"x")])
        await settle()
        assert [dict(headers)["traceparent"] for _, _, _, headers in world.producer.sent] == [wanted] * 2


async def test_the_source_offset_moves_only_when_every_copy_is_acknowledged() -> None:
    async with World() as world:
        world.producer.acknowledges = False
        world.accept(0, event(1))
        world.accept(1, event(2))
        await settle()
        futures = world.producer.futures
        futures[0].set_result(None)
        futures[2].set_result(None)
        futures[3].set_result(None)
        await settle()
        assert world.watermark == 0
        futures[1].set_result(None)
        await settle()
        assert world.watermark == 2


async def test_a_destination_s_topic_that_refuses_holds_its_copies_and_no_other_destination(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outlets, "RETRY_INITIAL_SECONDS", 0.0)
    async with World() as world:
        world.producer.refusals["to.wallet"] = TopicAuthorizationFailedError("to.wallet")
        for offset in range(3):
            world.accept(offset, event(offset))
        await settle()
        assert len(world.written_to("to.business")) == 3
        assert world.written_to("to.wallet") == []
        assert world.watermark == 0
        assert not world.router.crashed
        world.producer.refusals.clear()
        await settle()
        assert [key for _, key, _, _ in world.written_to("to.wallet")] == [b"t0", b"t1", b"t2"]
        assert world.watermark == 3
        assert not world.troubles.current


async def test_copies_that_wait_for_a_topic_are_the_next_owner_s_after_a_rebalance() -> None:
    async with World() as world:
        world.producer.refusals["to.wallet"] = TopicAuthorizationFailedError("to.wallet")
        world.accept(0, event(0))
        await settle()
        world.router.release()
        world.producer.refusals.clear()
        await asyncio.wait_for(world.router.drain(3600), 10)
        assert (world.router.outstanding, world.written_to("to.wallet")) == (0, [])


async def test_a_fault_of_ours_in_a_send_ends_the_worker() -> None:
    """Going on would leave a gap in the source's order."""
    world = World()
    world.producer.refusal = ConnectionError("topic is gone")
    with structlog.testing.capture_logs() as logs:
        world.accept(0, event(1))
        world.accept(1, event(2))
        await world.run()
    assert [line["offset"] for line in logs if line["event"] == "router.send_failed"] == [0]
    assert world.router.crashed
    assert (world.watermark, world.router.outstanding) == (0, 1)
    await world.router.stop()


async def test_a_new_table_counts_from_the_next_event_on() -> None:
    async with World() as world:
        world.accept(0, event(1))
        await settle()
        new = DestinationId("client.w2.sep24")
        table = RoutingTable([ClientRule("w2", domains=("w.example",), endpoints={Sep.SEP24: new})], None)
        world.router.use(table, {new: "to.w2"})
        world.accept(1, event(2, client_name="w2"))
        world.accept(2, event(3))
        await settle()
        assert [topic for topic, *_ in world.producer.sent] == ["to.business", "to.wallet", "to.w2"]
        assert world.watermark == 3


async def test_nothing_is_routed_before_the_customer_index_is_loaded() -> None:
    async with World(ready=False) as world:
        world.accept(0, event(1))
        await settle()
        assert world.producer.sent == []
        world.directory.ready.set()
        await settle()
        assert len(world.producer.sent) == 2


async def test_what_is_learned_is_written_before_the_source_offset_moves() -> None:
    async with World() as world:
        world.producer.acknowledges = False
        world.accept(0, event(1, creator={"id": "c"}))
        await settle()
        naming = ("customers", b'["c","w",1795500000123,0,0]', b'{"creator":true}')
        (learned,) = [n for n, copy in enumerate(world.producer.sent) if copy[:3] == naming]
        last = world.producer.futures.pop(learned)
        for future in world.producer.futures:
            future.set_result(None)
        await settle()
        assert world.watermark == 0
        last.set_result(None)
        await settle()
        assert world.watermark == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, b"empty"), (b"{", b"not-json"), (b"[]", b"not-an-object"), (b"null", b"null")],
)
async def test_what_cannot_be_read_goes_to_the_invalid_topic(value: bytes | None, reason: bytes) -> None:
    async with World() as world:
        world.accept(0, value, [("type", b"x")])
        await settle()
        ((topic, key, sent, headers),) = world.producer.sent
        assert (topic, key, sent) == ("invalid", b"key", value)
        found = dict(headers)
        assert found["invalid-reason"] == reason
        assert found["type"] == b"x"
        assert (found["source-topic"], found["source-offset"]) == (b"TRANSACTION", b"0")


async def test_a_record_too_large_for_our_topics_is_cut_and_stops_no_other() -> None:
    async with World(max_record_bytes=100) as world:
        world.limits.learn({"invalid": 5000})
        world.accept(0, event(1, message="x" * 9000))
        await settle()
        ((topic, _, value, headers),) = world.producer.sent
        assert (topic, header_values(headers)["invalid-reason"]) == ("invalid", b"too-large")
        assert value == event(1, message="x" * 9000)[: len(value or b"")]
        assert record_bytes(b"key", value, headers) <= 5000
        assert world.watermark == 1


LARGE = 200_000


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (None, None, []),
        (b"k", None, [("type", None)]),
        (None, b"{" * LARGE, []),
        (b"k" * LARGE, b"{", []),
        (b"k", b"not json", [("note", b"x" * LARGE)]),
        (b"k", b"not json", [("n" * LARGE, b"x")]),
        (b"k", event(1, id="t" * LARGE), []),
    ],
)
async def test_any_record_that_is_no_event_ends_in_the_invalid_topic_whole_or_cut(
    key: bytes | None, value: bytes | None, headers: Any
) -> None:
    async with World() as world:
        world.router.accept(InboundRecord(SOURCE, 0, key, value, headers, -1))
        world.accept(1, event(2))
        await settle()
        ((_, new_key, new_value, new_headers),) = world.written_to("invalid")
        assert (new_key, new_value) != (None, None)
        assert record_bytes(new_key, new_value, new_headers) <= world.limits.of("invalid")
        assert len(world.written_to("to.business")) == len(world.written_to("to.wallet")) == 1
        assert world.watermark == 2


async def test_a_destination_whose_topic_is_too_small_for_a_copy_costs_that_copy_alone() -> None:
    async with World() as world:
        world.limits.learn({"to.wallet": 4000})
        world.accept(0, event(1, message="x" * 3000))
        world.accept(1, event(2))
        await settle()
        assert len(world.written_to("to.business")) == 2
        ((_, _, value, headers),) = world.written_to("invalid")
        assert len(world.written_to("to.wallet")) == 1
        found = header_values(headers)
        assert found["invalid-reason"] == b"copy-too-large"
        assert b"of at most 4000; not delivered to client.w.sep24" in found["invalid-detail"]
        assert value == event(1, message="x" * 3000)
        assert world.watermark == 2


async def test_a_customer_too_long_to_be_kept_stops_no_event() -> None:
    async with World() as world:
        world.limits.learn({"customers": 1000})
        world.accept(0, event(1, creator={"id": "c" * 2000}))
        await settle()
        assert [topic for topic, *_ in world.producer.sent] == ["to.business", "to.wallet"]


async def test_a_sep_without_a_body_is_a_dead_letter_and_the_business_server_hears_of_it() -> None:
    async with World() as world:
        world.accept(0, event(1, sep="99"))
        await settle()
        assert [topic for topic, *_ in world.producer.sent] == ["to.business", "dead"]
        assert dict(world.producer.sent[1][3])["dead-letter-destination"] == b"client.w"


async def test_a_receive_under_sep24_goes_to_the_business_server_and_to_the_invalid_topic() -> None:
    async with World() as world:
        world.accept(0, event(1, kind="receive"))
        await settle()
        assert [topic for topic, *_ in world.producer.sent] == ["to.business", "invalid"]
        assert dict(world.producer.sent[1][3])["invalid-reason"] == b"not-in-its-sep"
        assert world.watermark == 1


async def test_a_topic_that_refuses_what_cannot_be_read_holds_its_offset_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_troubles, "RETRY_INITIAL_SECONDS", 0.0)
    async with World() as world:
        world.producer.refusals["invalid"] = TopicAuthorizationFailedError("invalid")
        world.accept(0, b"{")
        world.accept(1, event(1))
        await settle()
        assert {topic for topic, *_ in world.producer.sent} == {"to.business", "to.wallet"}
        assert world.watermark == 0
        assert "TopicAuthorizationFailed" in world.troubles.current["invalid"].problem
        world.producer.refusals.clear()
        await settle()
        assert world.producer.sent[-1][0] == "invalid"
        assert world.watermark == 2
        assert not world.troubles.current


async def test_too_much_outstanding_pauses_the_source_and_less_resumes_it() -> None:
    async with World() as world:
        world.producer.acknowledges = False
        for offset in range(MAX_OUTSTANDING + 1):
            world.accept(offset, event(offset, client_name=None))
        assert world.flow.paused == {SOURCE}
        while world.router.outstanding:
            await settle()
            for future in world.producer.futures:
                if not future.done():
                    future.set_result(None)
        assert world.flow.paused == set()


async def test_a_drain_waits_for_what_is_under_way() -> None:
    async with World() as world:
        world.producer.acknowledges = False
        world.accept(0, event(1))
        await settle()
        draining = asyncio.ensure_future(world.router.drain(5))
        await settle()
        assert not draining.done()
        for future in world.producer.futures:
            future.set_result(None)
        await asyncio.wait_for(draining, 1)
        assert world.watermark == 1


async def test_a_drain_ends_within_its_bound_when_the_broker_is_away() -> None:
    async with World() as world:
        world.producer.acknowledges = False
        world.accept(0, event(1))
        await settle()
        await asyncio.wait_for(world.router.drain(0.01), 2)
        assert world.watermark == 0


async def test_no_record_is_routed_while_the_copies_of_others_pass_the_bound() -> None:
    async with World(memory_bytes=10_000) as world:
        world.producer.acknowledges = False
        for number in range(10):
            world.accept(number, event(number, text="x" * 3000))
        await settle()
        assert len(world.producer.sent) == 4, "the second record's copies pass it"
        world.producer.acknowledges = True
        for future in list(world.producer.futures):
            future.set_result(None)
        await settle()
        assert len(world.producer.sent) == 20
        assert world.watermark == 10
        assert world.flow.paused == set()


async def test_what_waits_for_room_is_not_routed_after_a_drain() -> None:
    async with World(memory_bytes=10_000) as world:
        world.producer.acknowledges = False
        for number in range(10):
            world.accept(number, event(number, text="x" * 3000))
        await settle()
        draining = asyncio.ensure_future(world.router.drain(60))
        await settle()
        for future in list(world.producer.futures):
            future.set_result(None)
        await draining
        await settle()
        assert len(world.producer.sent) == 4
        assert world.watermark == 2
