"""The way into a destination's topic, with a producer that refuses as Kafka does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, TopicAuthorizationFailedError
from typing_extensions import Self

from eventproc.delivery import outlets
from eventproc.delivery.outlets import MOST_WAITING, STALL_SECONDS, WAIT_SECONDS, Copy, Outlets
from eventproc.delivery.producer_internals import WithdrawnError
from eventproc.delivery.topic_troubles import TopicTroubles
from tests.fakes.clock import FakeClock, settle


@dataclass
class FakeKafka:
    """Answers at once while ``is_answering``; a refused batch takes down all that is queued behind it."""

    is_answering: bool = True
    is_known_: bool = True
    too_large: set[int] = field(default_factory=set)
    refuses: Callable[[str, int], bool] = lambda _topic, _number: False
    silent: set[str] = field(default_factory=set)
    written: dict[str, list[int]] = field(default_factory=dict)
    queued: list[tuple[str, int, asyncio.Future[None]]] = field(default_factory=list)
    closed: dict[str, KafkaError] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)

    def is_known(self, _topic: str) -> bool:
        return self.is_known_

    def problem_of(self, _topic: str) -> str | None:
        return "NotEnoughReplicasError()"

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Any:
        if topic in self.closed:
            raise self.closed[topic]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queued.append((topic, int(key or b""), future))
        if self.is_answering:
            self.answer()
        return future

    async def send_alone(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        future = await self.send(topic, key, value, headers)
        self.answer()
        await future

    async def readmit(self, topic: str) -> None:
        assert not [one for one in self.queued if one[0] == topic], "something is unanswered"
        self.closed.pop(topic, None)

    def withdraw(self, topic: str) -> None:
        self.withdrawn.append(topic)
        self._fail(topic, WithdrawnError(topic))

    def answer(self) -> None:
        """What a broker does with all that is queued."""
        for topic, number, future in list(self.queued):
            if future.done() or topic in self.silent:
                continue
            if number in self.too_large:
                self._fail(topic, MessageSizeTooLargeError())
            elif self.refuses(topic, number):
                self._fail(topic, TopicAuthorizationFailedError(topic))
            else:
                self.written.setdefault(topic, []).append(number)
                future.set_result(None)
        self.queued = [one for one in self.queued if not one[2].done()]

    def _fail(self, topic: str, error: KafkaError) -> None:
        self.closed[topic] = error
        for name, _, future in self.queued:
            if name == topic and not future.done():
                future.set_exception(error)
                future.exception()
        self.queued = [one for one in self.queued if not one[2].done()]


class World:
    def __init__(self) -> None:
        self.kafka = FakeKafka()
        self.clock = FakeClock()
        self.troubles = TopicTroubles()
        self.outlets = Outlets(self.kafka, self.troubles, self.clock.monotonic)
        self.done: list[int] = []
        self.set_aside: list[int] = []
        self.reasons: list[str] = []
        self.order: list[int] = []

    async def __aenter__(self) -> Self:
        await self.outlets.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.outlets.stop()

    async def offer(self, topic: str, *numbers: int) -> None:
        for number in numbers:
            copy = Copy(
                b"%d" % number, b"v", [], partial(self.done.append, number), self._set_aside_of(number)
            )
            await self.outlets.of(topic).offer(copy)

    def _set_aside_of(self, number: int) -> Callable[[str], Awaitable[None]]:
        async def set_aside(reason: str) -> None:
            await asyncio.sleep(0)
            self.set_aside.append(number)
            self.reasons.append(reason)

        return set_aside

    def ends(self) -> list[int]:
        return sorted(self.kafka.written.get("a", []) + self.set_aside)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "RETRY_INITIAL_SECONDS", 0.0)
    monkeypatch.setattr(outlets, "LOOK_SECONDS", 0.001)


async def test_a_copy_that_is_too_large_is_set_aside_before_any_later_one_is_written() -> None:
    async with World() as world:
        world.kafka.too_large = {3}
        world.kafka.is_answering = False
        await world.offer("a", *range(6))
        await world.offer("b", *range(100, 106))
        world.kafka.answer()
        await settle()
        assert world.kafka.written == {"a": [0, 1, 2, 4, 5], "b": list(range(100, 106))}
        assert (world.set_aside, world.reasons) == ([3], ["a refuses it: MessageSizeTooLargeError"])
        assert sorted(world.done) == [*range(6), *range(100, 106)]
        assert not world.troubles.current


async def test_what_a_topic_refuses_waits_in_order_and_is_written_after_the_repair() -> None:
    async with World() as world:
        world.kafka.refuses = lambda topic, _number: topic == "a"
        await world.offer("a", *range(20))
        await world.offer("b", *range(100, 120))
        await settle()
        assert world.kafka.written == {"b": list(range(100, 120))}
        assert "TopicAuthorizationFailed" in world.troubles.current["a"].problem
        world.kafka.refuses = lambda _topic, _number: False
        while len(world.done) < 40:
            await settle()
        assert world.kafka.written["a"] == list(range(20))
        assert (world.set_aside, len(world.done)) == ([], 40)


async def test_copies_beyond_the_bound_are_set_aside_the_oldest_first() -> None:
    async with World() as world:
        world.kafka.refuses = lambda _topic, _number: True
        await world.offer("a", *range(MOST_WAITING + 10))
        await settle()
        while len(world.set_aside) < 10:
            await settle()
        assert world.set_aside == list(range(10))
        await world.clock.advance(WAIT_SECONDS + 1)
        while len(world.set_aside) < MOST_WAITING + 10:
            await settle()
        assert world.set_aside == world.done == list(range(MOST_WAITING + 10))
        assert world.kafka.written == {}


async def test_a_topic_that_is_not_answered_while_others_are_is_taken_back() -> None:
    async with World() as world:
        world.kafka.silent = {"a"}
        await world.offer("a", 0, 1)
        await world.clock.advance(STALL_SECONDS * 10)
        await asyncio.sleep(0.01)
        assert world.kafka.withdrawn == [], "nothing shows that Kafka is there"
        await world.offer("b", 100)
        while not world.kafka.withdrawn:
            await asyncio.sleep(0.001)
        assert "NotEnoughReplicas" in world.troubles.current["a"].problem
        world.kafka.silent.clear()
        await settle()
        world.kafka.answer()
        await settle()
        assert world.kafka.written == {"a": [0, 1], "b": [100]}
        assert sorted(world.done) == [0, 1, 100]


async def test_a_topic_that_is_not_known_yet_makes_no_other_wait() -> None:
    async with World() as world:
        world.kafka.is_known_ = False
        await world.offer("a", 0, 1, 2)
        assert world.kafka.written == {}
        await settle()
        assert world.kafka.written == {"a": [0, 1, 2]}


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_is_refused_each_copy_ends_once_and_what_is_written_is_in_order(seed: int) -> None:
    draw = random.Random(seed)
    async with World() as world:
        refusing = 0.3
        world.kafka.too_large = {number for number in range(100) if draw.random() < 0.1}
        world.kafka.refuses = lambda _topic, _number: draw.random() < refusing
        offered = 0
        while offered < 100:
            world.kafka.is_answering = draw.random() < 0.5
            count = min(draw.randrange(1, 10), 100 - offered)
            await world.offer("a", *range(offered, offered + count))
            offered += count
            for _ in range(draw.randrange(4)):
                await asyncio.sleep(0)
            if draw.random() < 0.7:
                world.kafka.answer()
        refusing = 0.0
        while len(world.done) < 100:
            world.kafka.answer()
            await asyncio.sleep(0)
        written = world.kafka.written["a"]
        assert written == sorted(set(written)), "in order, and each once"
        assert world.set_aside == sorted(world.kafka.too_large)
        assert world.ends() == list(range(100))
        await settle()
        assert not world.troubles.current
