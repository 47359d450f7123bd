from __future__ import annotations

import pytest

from eventproc.doctor.clock import judge_clocks
from eventproc.doctor.findings import State


def test_clocks_that_agree_are_right() -> None:
    (check,) = judge_clocks({"a": 0.4, "b": -0.6})
    assert (check.subject, check.state) == ("this machine", State.OK)


def test_no_clock_is_nothing_to_judge() -> None:
    (check,) = judge_clocks({})
    assert check.state is State.SKIPPED


@pytest.mark.parametrize(
    ("skews", "state", "said"),
    [
        (
            {"a": 20.0, "b": 20.6, "c": 19.8},
            State.WARNING,
            "the clock is 20 s behind, as 3 endpoints have it",
        ),
        ({"a": -120.0, "b": -121.0}, State.PROBLEM, "the clock is 120 s ahead"),
    ],
)
def test_where_all_others_agree_it_is_ours(skews: dict[str, float], state: State, said: str) -> None:
    (check,) = judge_clocks(skews)
    assert (check.subject, check.state) == ("this machine", state)
    assert said in check.what


def test_the_one_that_differs_is_named() -> None:
    (check,) = judge_clocks({"a": 0.2, "b": 90.0, "c": -0.1})
    assert (check.subject, check.state) == ("b", State.PROBLEM)
    assert "90 s ahead of the others'" in check.what


def test_ours_and_anothers_can_both_be_off() -> None:
    ours, theirs = judge_clocks({"a": 60.0, "b": 60.0, "c": 60.0, "d": 0.0})
    assert (ours.subject, theirs.subject) == ("this machine", "d")
    assert "60 s behind the others'" in theirs.what


def test_of_two_that_differ_each_may_be_right() -> None:
    (check,) = judge_clocks({"a": 200.0})
    assert (check.subject, check.state) == ("a", State.PROBLEM)
    assert "one is wrong" in check.way_out
