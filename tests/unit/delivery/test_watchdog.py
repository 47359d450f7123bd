"""A stuck worker is told from one that waits for good reason."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from eventproc.delivery import watchdog
from eventproc.delivery.watchdog import ProgressWatch, Pulse, StuckError, engine_pulse, lag, reading_pulse
from eventproc.watermark import PartitionProgress
from tests.fakes.clock import settle
from tests.fakes.sender import REFUSED
from tests.unit.delivery.test_engine import PARTITION, World


@dataclass
class Scene:
    pulse: Pulse = field(default_factory=lambda: Pulse("sink", 0, should_move=True))
    rebalancing: bool = False
    watch: ProgressWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = ProgressWatch(lambda: [self.pulse], lambda: self.rebalancing, 10)

    def look(self, now: float, pulse: Pulse | None = None) -> float:
        self.pulse = pulse or self.pulse
        self.watch.look(now)
        return self.watch.stuck_seconds


def test_work_that_does_not_get_on_is_seen() -> None:
    scene = Scene()
    assert [scene.look(now) for now in (0, 4, 9)] == [0, 4, 9]
    assert scene.watch.stuck_at == "sink"
    assert scene.watch.is_suspicious


def test_any_progress_starts_the_count_anew() -> None:
    scene = Scene()
    scene.look(0)
    scene.look(9)
    assert scene.look(9.5, Pulse("sink", 1, should_move=True)) == 0
    assert scene.look(12) == 2.5


def test_nothing_to_do_is_not_stuck() -> None:
    scene = Scene(Pulse("sink", 0, should_move=False))
    assert [scene.look(now) for now in (0, 100)] == [0, 0]


def test_a_rebalance_is_no_standstill() -> None:
    scene = Scene()
    scene.look(0)
    scene.rebalancing = True
    assert scene.look(100) == 0
    scene.rebalancing = False
    assert scene.look(101) == 0


async def test_a_stuck_worker_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.01)
    watch = ProgressWatch(lambda: [Pulse("sink", 0, should_move=True)], lambda: False, 0.05)
    await watch.start()
    await asyncio.wait_for(watch._crashed.wait(), 5)
    assert isinstance(watch.crash_reason, StuckError)
    await watch.stop()


async def test_an_engine_with_a_hung_request_ought_to_move() -> None:
    world = World()
    world.sender.hold = asyncio.Event()
    world.accept(0, "t")
    await settle()
    assert engine_pulse(world.engine).should_move
    await world.engine.drain(0.01)


async def test_an_engine_in_an_outage_waits_for_good_reason() -> None:
    world = World()
    world.sender.script = lambda _b, _n: REFUSED
    world.accept(0, "alone")
    await settle()
    assert not engine_pulse(world.engine).should_move, "it waits for its next try"
    for offset in range(1, 10):
        world.accept(offset, f"t{offset}")
    await settle()
    assert not engine_pulse(world.engine).should_move, "the breaker is open"


def test_unread_records_ought_to_arrive_unless_the_tap_is_shut() -> None:
    progress = PartitionProgress(5)
    ends = {PARTITION: 9}
    assert reading_pulse("x", {PARTITION: progress}, ends.get, is_paused=False).should_move
    assert not reading_pulse("x", {PARTITION: progress}, ends.get, is_paused=True).should_move
    for offset in range(5, 9):
        progress.offer(offset, None)
    assert not reading_pulse("x", {PARTITION: progress}, ends.get, is_paused=False).should_move
    assert lag({PARTITION: progress}, ends.get) == 4
    progress.done(5)
    assert lag({PARTITION: progress}, ends.get) == 3
