"""Stopped means stopped: no request begins after a pause, a drain, an opened breaker or a Retry-After.

Generated sequences of what an operator, Kafka and the receiver do, with everything that an attempt can wait for.
The receiver looks at the world at the moment of each POST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.outcomes import FailureKind, NoResponse
from eventproc.redrive import LaneId
from settings import load_settings
from settings.delivery import DeliverySettings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record
from tests.fakes.sender import OK, Reply, status

PARTITION = (TOPIC, 0)
DOWN = NoResponse(FailureKind.CONNECT, "refused")
ANSWERS: dict[str, Reply] = {
    "ok": OK,
    "down": DOWN,
    "busy": status(429, retry_after="120"),
    "ill": status(503),
}


def delivery(rate: float | None, *, in_flight: int = 64) -> DeliverySettings:
    env = {"DELIVERY_ON_DEAD_LETTER": "hold_transaction", "DELIVERY_MAX_IN_FLIGHT": str(in_flight)}
    if rate is not None:
        env["DELIVERY_RATE_LIMIT_PER_SECOND"] = str(rate)
    return load_settings(env=env).delivery


class SlowHolds:
    """Whether a lane is held is known only after a wait, which the test ends; then no lane is."""

    def __init__(self) -> None:
        self.is_current = True
        self.known = asyncio.Event()
        self.known.set()

    def refresh(self, when_current: Callable[[], None]) -> None:
        """There is nothing to read."""

    async def caught_up(self) -> None:
        await self.known.wait()

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """Nothing is given up here."""

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """Nothing is given up here."""

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        return not self.known.is_set()


@dataclass
class Scene:
    """An engine, and a receiver that answers after one second unless the test says otherwise."""

    delivery: DeliverySettings
    clock: FakeClock = field(default_factory=FakeClock)
    sent: list[str] = field(default_factory=list)
    after_stop: list[str] = field(default_factory=list)
    answer: str = "ok"
    limit: int | None = None
    is_paused: bool = False
    is_drained: bool = False
    accepted: int = 0
    hung: list[asyncio.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.holds = SlowHolds()
        parts = EngineParts(
            self, FakeDeadLetters(), FakeFlow(), self.clock, draw=lambda: 1.0, holds=self.holds
        )
        self.engine = Engine(destination(), self.delivery, parts)
        self.engine.assign(PARTITION, 0, "")

    async def send(self, headers: dict[str, str], body: bytes) -> Reply:
        breaker = self.engine.breaker
        is_open = breaker.state is BreakerState.OPEN and self.clock.monotonic() < breaker.opened_until
        self.sent.append(headers["X-Event-Id"])
        if self.is_paused or self.is_drained or is_open:
            self.after_stop.append(body.decode())
        reply = ANSWERS[self.answer]
        answered = asyncio.Event()
        self.hung.append(answered)
        self.clock.call_at(self.clock.monotonic() + 1.0, answered.set)
        await answered.wait()
        return reply

    async def close(self) -> None:
        """There is no connection."""

    def accept(self, count: int) -> None:
        for _ in range(count):
            self.engine.accept(record(self.accepted, f"t{self.accepted % 40}"))
            self.accepted += not self.is_drained

    async def act(self, action: tuple[str, Any]) -> None:
        match action:
            case "accept", int(count):
                self.accept(count)
            case "pause", _:
                self.is_paused = True
                self.engine.pause()
            case "resume", _:
                self.is_paused = False
                self.engine.resume()
            case "answer", str(answer):
                self.answer = answer
            case "drain", _:
                self.is_drained = True
                await self.engine.drain(0.05)
            case "hand_back", _ if self.is_drained:
                self.engine.release()
                self.is_drained = False
                self.engine.assign(PARTITION, 0, "")
                self.accepted, self.sent = 0, []
            case "rate", rate:
                self.engine.reconfigure(destination(), delivery(rate), self)
            case "holds", bool(known):
                (self.holds.known.set if known else self.holds.known.clear)()
            case "pass", seconds:
                await self.clock.advance(seconds)
            case "step", int(steps):
                for _ in range(steps):
                    await asyncio.sleep(0)

    async def end(self) -> None:
        """Everything is well again, for long."""
        for action in (
            ("hand_back", None),
            ("resume", None),
            ("holds", True),
            ("answer", "ok"),
            ("rate", 50.0),
            ("accept", 1),
            ("pass", 4000.0),
        ):
            await self.act(action)


ACTIONS = st.one_of(
    st.tuples(st.just("accept"), st.integers(1, 80)),
    st.tuples(st.sampled_from(["pause", "resume", "drain", "hand_back"]), st.none()),
    st.tuples(st.just("answer"), st.sampled_from(sorted(ANSWERS))),
    st.tuples(st.just("rate"), st.sampled_from([None, 0.2, 1.0, 3.0, 50.0])),
    st.tuples(st.just("holds"), st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from([0.0, 0.1, 1.0, 5.0, 130.0])),
    st.tuples(st.just("step"), st.integers(0, 4)),
)


@given(rate=st.sampled_from([None, 0.5, 2.0, 20.0]), actions=st.lists(ACTIONS, max_size=25))
async def test_no_request_begins_after_a_stop_and_all_is_delivered_in_the_end(
    rate: float | None, actions: list[tuple[str, Any]]
) -> None:
    scene = Scene(delivery(rate))
    for action in actions:
        await scene.act(action)
        assert scene.after_stop == []
    await scene.end()
    assert scene.after_stop == []
    assert scene.engine.waiting == scene.engine.in_flight == 0
    assert scene.engine.partitions[PARTITION].watermark == scene.accepted
    assert {f"e{number}" for number in range(scene.accepted)} <= set(scene.sent)


@pytest.mark.parametrize("stop", [("pause", None), ("drain", None), ("answer", "busy")])
async def test_what_waits_for_the_rate_limit_does_not_begin_after_a_stop(stop: tuple[str, Any]) -> None:
    scene = Scene(delivery(5.0))
    await scene.act(("answer", stop[1] or "ok"))
    scene.accept(64)
    await scene.clock.advance(2.05)
    begun = len(scene.sent)
    assert begun > 5
    await scene.act(stop)
    await scene.clock.advance(30)
    assert len(scene.sent) == begun
    assert scene.engine.in_flight == 0


async def test_a_drain_does_not_wait_for_the_rate_limit() -> None:
    scene = Scene(delivery(1.0))
    scene.accept(64)
    await scene.clock.advance(1.5)
    draining = asyncio.ensure_future(scene.engine.drain(1000.0))
    await scene.clock.advance(1.0)
    assert draining.done()
    assert len(scene.sent) == 2


async def test_a_stop_in_the_moment_between_taking_and_sending_is_obeyed() -> None:
    scene = Scene(delivery(None))
    scene.accept(10)
    await scene.act(("pause", None))
    await settle()
    assert scene.sent == []
    await scene.act(("resume", None))
    await settle()
    assert sorted(scene.sent) == [f"e{number}" for number in range(10)]


async def test_an_attempt_that_was_not_made_does_not_count_towards_the_rate() -> None:
    scene = Scene(delivery(5.0))
    scene.accept(10)
    for _ in range(20):
        await scene.act(("pause", None))
        await settle()
        await scene.act(("resume", None))
    await settle()
    assert len(scene.sent) == 5


async def test_a_worker_that_is_released_before_it_ran_is_not_in_flight() -> None:
    scene = Scene(delivery(None))
    scene.accept(3)
    scene.engine.release()
    await settle()
    assert scene.engine.in_flight == 0
