"""One timer for many deadlines: what is reached is told once, and what is not costs no timer."""

from __future__ import annotations

import asyncio
from typing import Any

from eventproc.http.deadline import Deadline


class Loop:
    """A clock and its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Any]] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Any) -> Any:
        timer = (at, call)
        self.timers.append(timer)
        self.made += 1
        return _Handle(self, timer)

    def pass_until(self, at: float) -> None:
        while due := [timer for timer in self.timers if timer[0] <= at]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = at


class _Handle:
    def __init__(self, loop: Loop, timer: tuple[float, Any]) -> None:
        self._loop = loop
        self._timer = timer

    def cancel(self) -> None:
        if self._timer in self._loop.timers:
            self._loop.timers.remove(self._timer)


def deadline_on(loop: Any, told: list[float]) -> Deadline:
    return Deadline(loop, lambda: told.append(loop.time()))


def test_a_deadline_that_moves_on_costs_one_timer() -> None:
    loop, told = Loop(), list[float]()
    deadline = deadline_on(loop, told)
    for _ in range(1000):
        deadline.set(loop.now + 30)
        loop.now += 0.001
    assert loop.made == 1
    loop.pass_until(129.0)
    assert told == []
    loop.pass_until(200.0)
    assert told == [100.0 + 0.999 + 30] or abs(told[0] - 130.999) < 0.01
    assert loop.timers == []


def test_an_earlier_deadline_is_kept() -> None:
    loop, told = Loop(), list[float]()
    deadline = deadline_on(loop, told)
    deadline.set(130.0)
    deadline.set(101.0)
    loop.pass_until(105.0)
    assert told == [101.0]
    loop.pass_until(500.0)
    assert told == [101.0], "once for each"
    deadline.set(600.0)
    loop.pass_until(600.0)
    assert told == [101.0, 600.0]


def test_a_cancelled_deadline_leaves_no_timer() -> None:
    loop, told = Loop(), list[float]()
    deadline = deadline_on(loop, told)
    deadline.set(130.0)
    deadline.cancel()
    assert loop.timers == []
    loop.pass_until(500.0)
    assert told == []
    deadline.set(501.0)
    loop.pass_until(501.0)
    assert told == [501.0]


async def test_it_keeps_time_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    reached: asyncio.Future[float] = loop.create_future()
    deadline = Deadline(loop, lambda: reached.set_result(loop.time()))
    deadline.set(loop.time() + 60)
    at = loop.time() + 0.02
    deadline.set(at)
    assert await asyncio.wait_for(reached, 10) >= at - 0.002
