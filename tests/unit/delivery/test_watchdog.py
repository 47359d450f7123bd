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
    outage: object | None = None
    is_reachable: bool = True
    now: float = 0.0
    watch: ProgressWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = ProgressWatch(lambda: [self.pulse], lambda: self.rebalancing, self, 10)

    def look(self, now: float, pulse: Pulse | None = None) -> float:
        """Every second up to ``now``, as the worker does; the last look finds ``pulse``."""
        while self.now < now - 1:
            self.now += 1
            self.watch.look(self.now)
        return self.look_once(now, pulse)

    def look_once(self, now: float, pulse: Pulse | None = None) -> float:
        self.pulse, self.now = pulse or self.pulse, now
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


def test_an_unreachable_kafka_is_no_standstill_and_the_count_begins_behind_it() -> None:
    scene = Scene()
    scene.look(0)
    assert scene.look(9) == 9
    scene.outage = "Kafka is unreachable"
    assert scene.look(500) == 0
    assert scene.watch.stuck_at == "", "nothing else is named meanwhile"
    scene.outage = None
    assert scene.look(501) == 0
    assert scene.look(510) == 9


def test_time_without_evidence_that_kafka_is_reachable_does_not_count() -> None:
    scene = Scene()
    scene.look(0)
    scene.look(4)
    scene.is_reachable = False
    assert scene.look(100) == 4
    scene.is_reachable = True
    assert scene.look(101) == 5


def test_a_suspended_machine_is_no_standstill() -> None:
    scene = Scene()
    scene.look(0)
    assert scene.look_once(3600) == 2, "the worker had one turn since"
    assert not scene.watch.is_suspicious


@pytest.mark.parametrize("seconds_between_looks", [1, 7, 60])
def test_a_slow_machine_ends_no_worker_that_gets_on(seconds_between_looks: int) -> None:
    """1,000 partitions of which each turn reads one; a destination gets its next turn after 1,000 looks."""
    partitions = {("t", number): PartitionProgress(0) for number in range(1000)}
    now = 0.0
    watch = ProgressWatch(
        lambda: [reading_pulse([partitions], dict.fromkeys(partitions, 5).get)], lambda: False, Scene(), 10
    )
    for number in range(1000):
        now += seconds_between_looks
        partitions["t", number].offer(0, None)
        watch.look(now)
        assert watch.stuck_seconds == 0
    for _ in range(11):
        now += 1
        watch.look(now)
    assert watch.stuck_seconds > 10, "and one that does not is still found"


async def test_a_stuck_worker_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.01)
    watch = ProgressWatch(lambda: [Pulse("sink", 0, should_move=True)], lambda: False, Scene(), 0.05)
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
    assert reading_pulse([{PARTITION: progress}], ends.get).should_move
    assert not reading_pulse([], ends.get).should_move
    for offset in range(5, 9):
        progress.offer(offset, None)
    assert not reading_pulse([{PARTITION: progress}], ends.get).should_move
    assert lag({PARTITION: progress}, ends.get) == 4
    progress.done(5)
    assert lag({PARTITION: progress}, ends.get) == 3
