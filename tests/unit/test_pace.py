"""The pace of one destination, against a list of the times at which attempts began."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.pace import Pace


def begins(pace: Pace, *, seconds: float, step: float) -> list[float]:
    """Begin an attempt whenever the pace is open, looking every ``step`` seconds."""
    times: list[float] = []
    for number in range(int(seconds / step)):
        now = number * step
        while pace.is_open(now) and len(times) < 100_000:
            pace.spend(now)
            times.append(now)
    return times


@pytest.mark.parametrize(("rate", "at_once"), [(0.1, 1), (1, 1), (5, 5), (7.5, 7), (200, 200)])
def test_one_second_s_worth_may_begin_at_once_and_the_rate_is_kept_in_the_long_run(
    rate: float, at_once: int
) -> None:
    times = begins(Pace(rate), seconds=100, step=1 / 128)
    assert times.count(0.0) == at_once
    assert len(times) == pytest.approx(100 * rate + at_once, abs=1 + rate / 64)


@given(
    rate=st.floats(0.05, 500),
    waits=st.lists(st.one_of(st.just(0.0), st.floats(0, 5)), max_size=100),
)
def test_no_window_has_more_than_the_rate_and_one_burst(rate: float, waits: list[float]) -> None:
    pace, now = Pace(rate), 0.0
    times: list[float] = []
    for wait in waits:
        now += wait
        if pace.is_open(now):
            pace.spend(now)
            times.append(now)
    burst = max(1.0, rate)
    for first, begun in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - begun) + 1e-3


@given(rate=st.floats(0.05, 500), now=st.floats(0, 1e6))
def test_an_attempt_that_is_given_back_costs_nothing(rate: float, now: float) -> None:
    pace, other = Pace(rate), Pace(rate)
    for one in (pace, other):
        one.spend(now)
    pace.spend(now)
    pace.give_back()
    assert pace.opens_at(now) == pytest.approx(other.opens_at(now))


def test_without_a_limit_it_is_always_open() -> None:
    pace = Pace(None)
    for _ in range(1000):
        pace.spend(0.0)
    assert pace.is_open(0.0)
