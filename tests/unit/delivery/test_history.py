"""The last hour of a destination, by a clock turned by hand."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field

import pytest

from eventproc.delivery.history import MINUTES, SAMPLE_SECONDS, SAMPLES, History
from eventproc.delivery.stats import DestinationStats
from eventproc.destinations import Destination
from eventproc.outcomes import FailureKind
from tests.fakes.records import destination


@dataclass
class Counted:
    destination: Destination = field(default_factory=destination)
    stats: DestinationStats = field(default_factory=DestinationStats)


@dataclass
class World:
    now: float = 1000.0
    engine: Counted = field(default_factory=Counted)

    def __post_init__(self) -> None:
        self.history = History(lambda: [self.engine], lambda: self.now)

    def pass_time(self, samples: int, delivered: int = 0, failed: int = 0) -> None:
        """So many samples, each with so many deliveries and failed attempts before it."""
        for _ in range(samples):
            self.now += SAMPLE_SECONDS
            self.engine.stats.deliveries += delivered
            self.engine.stats.failed[FailureKind.CONNECT] += failed
            self.history.sample()


def test_a_rate_is_that_of_the_time_asked_for() -> None:
    world = World()
    world.pass_time(100, delivered=30)
    world.pass_time(8, delivered=150, failed=15)

    one, five = world.history.rates(world.engine, 1), world.history.rates(world.engine, 5)

    assert one == pytest.approx((10.0, 1.0, 60.0))
    assert five == pytest.approx(((8 * 150 + 12 * 30) / 300, 8 * 15 / 300, 300.0))


def test_what_is_not_sampled_yet_counts() -> None:
    world = World()
    world.pass_time(10)
    world.now += 5
    world.engine.stats.deliveries += 65

    assert world.history.rates(world.engine, 1) == pytest.approx((1.0, 0.0, 65.0))
    assert world.history.last_hour(world.engine).delivered[-1] == 65


def test_a_young_worker_divides_by_its_age() -> None:
    world = World()
    world.now += 10
    world.engine.stats.deliveries += 20
    world.engine.stats.rejected += 10

    assert world.history.rates(world.engine, 15) == pytest.approx((2.0, 1.0, 10.0))


def test_the_hour_is_told_minute_by_minute_and_what_is_older_is_forgotten() -> None:
    world = World()
    world.pass_time(40, delivered=1000)
    world.pass_time(SAMPLES - 8, delivered=1)
    world.pass_time(4, delivered=2, failed=3)
    world.pass_time(4)

    hour = world.history.last_hour(world.engine)

    assert hour.delivered == [4] * (MINUTES - 2) + [8, 0]
    assert hour.failed == [0] * (MINUTES - 2) + [12, 0]


def test_a_destination_that_did_nothing_has_a_flat_hour_and_costs_nothing() -> None:
    engines = [Counted(destination(f"d{number}")) for number in range(2500)]
    now = 0.0
    history = History(lambda: engines, lambda: now)
    tracemalloc.start()
    try:
        history.sample()
        idle = tracemalloc.get_traced_memory()[0]
        for engine in engines:
            engine.stats.deliveries += 1
        history.sample()
        busy = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert idle < 100_000
    assert busy < 2500 * 2600, "two rings of a KB for each"
    assert history.last_hour(engines[0]).delivered == [0] * (MINUTES - 1) + [1]


async def test_it_samples_by_itself_while_it_runs() -> None:
    engine = Counted()
    engine.stats.deliveries += 1
    async with History(lambda: [engine], every_seconds=0.001) as history:
        for _ in range(2000):
            await history.sleep(0.005)
            if history._taken > 2:
                break
    assert history._taken > 2
    assert sum(history.last_hour(engine).delivered) == 1
