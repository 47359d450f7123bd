"""``delivery.skip_unchanged_customers``: what is skipped, and that no change ever is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from eventproc.delivery.engine import Engine, EngineParts
from eventproc.destinations import Destination, Endpoint
from eventproc.destinations.client_endpoint import client_destinations
from eventproc.events import Event
from eventproc.identifiers import LaneKey
from eventproc.outcomes import FailureKind, NoResponse
from eventproc.unchanged import DeliveredContents, UnchangedFilter
from settings import load_settings
from settings.delivery import DeliverySettings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record
from tests.fakes.sender import OK, FakeSender, Reply, status
from tests.servers.anchor_env import anchor_env, noncustodial_client
from tests.unit.delivery.test_engine import delivery

PARTITION: Final = (TOPIC, 0)
NO_ANSWER: Final = NoResponse(FailureKind.TIMEOUT, "no answer in time")


def content_body(event: Event, _timestamp_ms: int, _now: float) -> bytes:
    """The transaction's message stands for a customer's content."""
    return str((event.transaction or {})["message"]).encode()


def customers(*, sends_customers: bool = True) -> Destination:
    return dataclasses.replace(destination(), build_body=content_body, sends_customers=sends_customers)


def on(**changes: str) -> DeliverySettings:
    return delivery(skip_unchanged_customers="true", **changes)


@dataclass
class World:
    """Publishes contents of customers to one engine; ``sent`` is what its receiver was sent."""

    settings: DeliverySettings = field(default_factory=on)
    to: Destination = field(default_factory=customers)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)
    offset: int = 0

    def __post_init__(self) -> None:
        dead, flow = FakeDeadLetters(), FakeFlow()
        parts = EngineParts(self.sender, dead, flow, self.clock, draw=lambda: 1.0)
        self.engine = Engine(self.to, self.settings, parts)
        self.engine.assign(PARTITION, 0, "")

    async def publish(self, content: str, *, lane: str = "c", redriven: bool = False) -> None:
        one = record(self.offset, lane, message=content)
        if redriven:
            one = one._replace(headers=[*one.headers, ("redriven", b"2026-11-24T10:00:00Z")])
        self.offset += 1
        self.engine.accept(one)
        await settle()

    async def rebalance(self) -> None:
        """Hand the partition over, and get it again."""
        await self.engine.drain(1)
        self.engine.release()
        self.engine.assign(PARTITION, self.offset, "")

    @property
    def sent(self) -> str:
        return "".join(body.decode() for body in self.sender.sent)


@pytest.mark.parametrize(
    ("published", "sent"), [("A", "A"), ("AA", "A"), ("AAAA", "A"), ("ABA", "ABA"), ("AABBA", "ABA")]
)
async def test_what_the_receiver_has_already_is_not_sent_again(published: str, sent: str) -> None:
    world = World()
    for content in published:
        await world.publish(content)
    assert world.sent == sent
    assert world.engine.stats.unchanged_skipped == len(published) - len(sent)
    assert world.engine.partitions[PARTITION].watermark == len(published)
    assert world.engine.waiting == 0


@pytest.mark.parametrize(
    ("settings", "to"), [(delivery(), customers()), (on(), customers(sends_customers=False))]
)
async def test_everything_is_sent_by_default_and_to_all_but_endpoints_for_customers(
    settings: DeliverySettings, to: Destination
) -> None:
    world = World(settings, to)
    await world.publish("A")
    await world.publish("A")
    assert world.sent == "AA"


def test_endpoints_for_customers_are_those_for_sep_12_alone() -> None:
    client = noncustodial_client("a.sep12", "https://a.example", domains=["a.example"])
    settings = load_settings(env=anchor_env("localhost:1", clients=[client]))
    assert [one.id for one in client_destinations(settings) if one.sends_customers] == [
        "client.a.sep12.sep12"
    ]


async def test_two_customers_with_the_same_content_are_two() -> None:
    world = World()
    await world.publish("A", lane="c1")
    await world.publish("A", lane="c2")
    assert world.sent == "AA"


async def test_what_is_redriven_is_sent_and_counts_as_what_the_receiver_has() -> None:
    world = World()
    await world.publish("A")
    await world.publish("A", redriven=True)
    await world.publish("B", redriven=True)
    await world.publish("B")
    await world.publish("A")
    assert world.sent == "AABA"


async def test_another_receiver_at_the_same_endpoint_has_nothing_yet() -> None:
    world = World()
    await world.publish("A")
    moved = dataclasses.replace(world.to, endpoint=Endpoint("http://127.0.0.1:9/moved"))
    world.engine.reconfigure(moved, world.settings, world.sender)
    await world.publish("A")
    assert world.sent == "AA"


async def test_what_was_in_flight_to_the_receiver_before_is_not_the_next_ones() -> None:
    world = World()
    world.sender.hold = asyncio.Event()
    await world.publish("A")
    world.engine.reconfigure(world.to, world.settings, world.sender)
    world.sender.hold.set()
    await settle()
    await world.publish("A")
    assert world.sent == "AA"


async def test_after_a_rebalance_nothing_is_known() -> None:
    world = World()
    await world.publish("A")
    await world.rebalance()
    await world.publish("A")
    assert world.sent == "AA"


async def test_a_receiver_that_may_have_accepted_what_was_set_aside_gets_the_old_content_again() -> None:
    world = World(on(retry_poison_attempts="2"))
    replies: list[Reply] = [OK, NO_ANSWER, status(422), status(422)]
    world.sender.script = lambda _body, _n: replies.pop(0) if replies else OK
    for content in "ABA":
        await world.publish(content)
        await world.clock.advance(10_000)
    assert world.sent == "ABBBA"


def test_the_memory_is_bounded_and_what_is_forgotten_is_sent() -> None:
    contents = DeliveredContents(remembered_customers=2)
    one, other = UnchangedFilter(contents), UnchangedFilter(contents)
    one.sending(LaneKey("c1"), b"A").delivered()
    other.sending(LaneKey("c1"), b"B").delivered()
    one.sending(LaneKey("c1"), b"A").delivered()
    other.sending(LaneKey("c2"), b"C").delivered()
    assert len(contents) == 2
    assert one.is_unchanged(LaneKey("c1"), b"A")
    assert not other.is_unchanged(LaneKey("c1"), b"B"), "the one delivered least recently"
    assert other.is_unchanged(LaneKey("c2"), b"C")
    other.forget_all()
    assert not other.is_unchanged(LaneKey("c2"), b"C")


Answer = Literal["accepted", "refused", "accepted without an answer", "lost"]
_REPLIES: Final[dict[Answer, Reply]] = {
    "accepted": OK,
    "refused": status(422),
    "accepted without an answer": NO_ANSWER,
    "lost": NO_ANSWER,
}


@dataclass
class Wallet:
    """Holds the last content that it accepted, whether or not its answer arrived."""

    answers: list[Answer]
    content: str | None = None

    def respond(self, body: bytes, _number: int) -> Reply:
        answer: Answer = self.answers.pop(0) if self.answers else "accepted"
        if answer.startswith("accepted"):
            self.content = body.decode()
        return _REPLIES[answer]


def elsewhere(content: str) -> Callable[[World, Wallet], Any]:
    """Another worker delivers this, while it has the partition."""

    async def step(world: World, wallet: Wallet) -> None:
        await world.rebalance()
        wallet.content = content

    return step


def update(content: str, redriven: bool) -> Callable[[World, Wallet], Any]:
    async def step(world: World, wallet: Wallet) -> None:
        skipped, requests = world.engine.stats.unchanged_skipped, len(world.sender.sent)
        await world.publish(content, redriven=redriven)
        await world.clock.advance(10_000)
        assert world.engine.waiting == 0, "delivered, skipped or dead-lettered"
        if world.engine.stats.unchanged_skipped == skipped:
            assert len(world.sender.sent) > requests
        else:
            assert not redriven
            assert wallet.content == content, "a change was skipped"

    return step


contents_of_two = st.sampled_from("AB")
updates = st.builds(update, contents_of_two, st.just(value=False))
others = [
    st.builds(elsewhere, contents_of_two),
    st.builds(update, contents_of_two, st.just(value=True)),
]
steps = st.lists(st.one_of(updates, updates, *others), min_size=8, max_size=12)
replies_first = st.lists(st.sampled_from([*_REPLIES, "accepted", "refused"]), min_size=6, max_size=12)


@examples(max_examples=50)
@given(steps, replies_first)
def test_no_change_is_ever_skipped(path: list[Callable[[World, Wallet], Any]], replies: list[Answer]) -> None:
    async def go() -> None:
        wallet = Wallet(replies)
        world = World(on(retry_poison_attempts="2"))
        world.sender.script = wallet.respond
        for step in path:
            await step(world, wallet)

    asyncio.run(go())
