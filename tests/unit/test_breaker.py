"""The breaker's states, and the evidence that tells poison from an outage."""

from __future__ import annotations

from pathlib import Path

import yaml

import settings
from eventproc.breaker import EVIDENCE_SECONDS, Breaker, BreakerState, Evidence
from eventproc.identifiers import LaneKey

A, B, C = LaneKey("a"), LaneKey("b"), LaneKey("c")


def opened() -> Breaker:
    breaker = Breaker(failure_threshold=3, open_initial_seconds=1, open_max_seconds=8)
    for lane in (A, B, C):
        breaker.on_failure(lane, now=0)
    return breaker


def test_it_opens_after_enough_failures_in_a_row() -> None:
    breaker = opened()
    assert breaker.state is BreakerState.OPEN
    assert breaker.limit(64, now=0.9) == 0


def test_it_opens_at_the_failure_that_is_enough_and_not_before() -> None:
    breaker = Breaker(failure_threshold=3)
    states = []
    for lane in (A, B, C):
        breaker.on_failure(lane, now=0)
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.OPEN]


def test_its_defaults_are_those_of_the_settings() -> None:
    defaults = yaml.safe_load((Path(settings.__file__).parent / "defaults.yaml").read_text("utf-8"))
    breaker = Breaker()
    assert defaults["delivery"]["breaker"] == {
        "failure_threshold": breaker.failure_threshold,
        "open_initial_seconds": breaker.open_initial_seconds,
        "open_max_seconds": breaker.open_max_seconds,
    }


def test_one_lane_alone_never_opens_it() -> None:
    breaker = Breaker(failure_threshold=3)
    for _ in range(50):
        breaker.on_failure(A, now=0)
    assert breaker.state is BreakerState.CLOSED


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = Breaker(failure_threshold=3)
    for _ in range(5):
        breaker.on_failure(A, now=0)
        breaker.on_failure(B, now=0)
        breaker.on_success(64)
    assert breaker.state is BreakerState.CLOSED


def test_a_success_starts_the_count_of_failures_and_of_lanes_from_scratch() -> None:
    breaker = Breaker(failure_threshold=3)
    breaker.on_failure(B, now=0)
    breaker.on_success(64)
    states = []
    for lane in (A, A, A, B):
        breaker.on_failure(lane, now=0)
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED] * 3 + [BreakerState.OPEN]


def test_after_a_success_as_many_failures_as_at_first_open_it() -> None:
    breaker = Breaker(failure_threshold=3)
    breaker.on_success(64)
    states = []
    for lane in (A, B, C):
        breaker.on_failure(lane, now=0)
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.OPEN]


def test_after_a_recovery_the_wait_is_the_first_one_again() -> None:
    breaker = opened()
    for now in (1.0, 3.0):
        breaker.limit(64, now)
        breaker.on_failure(A, now)
    breaker.limit(64, now=7.0)
    breaker.on_success(64)
    breaker.on_failure(A, now=7.0)
    assert breaker.opened_until == 8.0


def test_a_wait_shorter_than_a_second_is_kept() -> None:
    breaker = Breaker(failure_threshold=2, open_initial_seconds=0.25)
    breaker.on_failure(A, now=0)
    breaker.on_failure(B, now=0)
    assert breaker.opened_until == 0.25


def test_after_its_time_one_probe_at_a_time_is_let_through() -> None:
    breaker = opened()
    assert breaker.limit(64, now=1.0) == 1
    assert breaker.state is BreakerState.HALF_OPEN


def test_each_failed_probe_doubles_the_wait_up_to_the_bound() -> None:
    breaker = opened()
    waits = []
    now = 1.0
    for _ in range(6):
        breaker.limit(64, now)
        breaker.on_failure(A, now)
        waits.append(breaker.opened_until - now)
        now = breaker.opened_until
    assert waits == [2, 4, 8, 8, 8, 8]


def test_a_recovery_raises_the_number_in_flight_step_by_step() -> None:
    breaker = opened()
    breaker.limit(64, now=1.0)
    limits = []
    for _ in range(6):
        breaker.on_success(64)
        limits.append(breaker.limit(64, now=1.0))
    assert limits == [2, 4, 8, 16, 32, 64]
    assert not breaker.is_ramping


def test_a_failure_while_recovering_opens_it_again() -> None:
    breaker = opened()
    breaker.limit(64, now=1.0)
    breaker.on_success(64)
    breaker.on_failure(A, now=1.0)
    assert breaker.state is BreakerState.OPEN


def test_what_the_endpoint_asks_for_is_granted_up_to_the_bound() -> None:
    breaker = opened()
    breaker.limit(64, now=1.0)
    breaker.on_failure(A, now=1.0, wait_seconds=5)
    assert breaker.opened_until == 6.0
    breaker.limit(64, now=6.0)
    breaker.on_failure(A, now=6.0, wait_seconds=10_000)
    assert breaker.opened_until == 14.0


def test_others_that_pass_are_evidence_of_poison() -> None:
    evidence = Evidence()
    evidence.record(A, 1.0, succeeded=False)
    for number in range(9):
        evidence.record(LaneKey(f"good{number}"), 2.0, succeeded=True)
    assert evidence.others_pass(A, since=1.0, now=3.0)


def test_two_poison_events_do_not_hide_each_other() -> None:
    evidence = Evidence()
    for number in range(18):
        evidence.record(LaneKey(f"good{number}"), 2.0, succeeded=True)
    for _ in range(30):
        evidence.record(A, 3.0, succeeded=False)
        evidence.record(B, 3.0, succeeded=False)
    assert evidence.others_pass(A, since=1.0, now=4.0)


def test_successes_from_before_the_first_failure_are_none() -> None:
    evidence = Evidence()
    for number in range(9):
        evidence.record(LaneKey(f"good{number}"), 2.0, succeeded=True)
    assert not evidence.others_pass(A, since=2.5, now=3.0)


def test_a_success_at_the_time_of_the_first_failure_is_evidence() -> None:
    evidence = Evidence()
    evidence.record(B, 2.0, succeeded=True)
    assert evidence.others_pass(A, since=2.0, now=2.0)


def test_a_success_is_evidence_for_a_quarter_of_an_hour() -> None:
    evidence = Evidence()
    evidence.record(B, 2.0, succeeded=True)
    assert EVIDENCE_SECONDS == 15 * 60
    assert evidence.others_pass(A, since=1.0, now=902.0)
    assert not evidence.others_pass(A, since=1.0, now=902.5)


def test_the_last_twenty_lanes_count() -> None:
    evidence = Evidence()
    for number in range(4):
        evidence.record(LaneKey(f"bad{number}"), 2.0, succeeded=False)
    for number in range(15):
        evidence.record(LaneKey(f"good{number}"), 2.0, succeeded=True)
    assert not evidence.others_pass(A, since=1.0, now=3.0)  # 15 of 19
    evidence.record(LaneKey("good15"), 2.0, succeeded=True)
    assert evidence.others_pass(A, since=1.0, now=3.0)  # 16 of 20 are just enough
    evidence.record(LaneKey("bad4"), 2.0, succeeded=False)
    assert evidence.others_pass(A, since=1.0, now=3.0)  # in place of the oldest, which had failed too
    evidence.record(LaneKey("bad5"), 2.0, succeeded=False)
    evidence.record(LaneKey("bad6"), 2.0, succeeded=False)
    evidence.record(LaneKey("bad7"), 2.0, succeeded=False)
    evidence.record(LaneKey("bad8"), 2.0, succeeded=False)
    assert not evidence.others_pass(A, since=1.0, now=3.0)  # 15 of 20


def test_the_oldest_of_the_last_twenty_lanes_counts() -> None:
    evidence = Evidence()
    for number in range(20):
        evidence.record(LaneKey(f"lane{number}"), 2.0, succeeded=number < 16)
    assert evidence.others_pass(A, since=1.0, now=3.0)


def test_a_lane_that_goes_on_is_among_the_last() -> None:
    evidence = Evidence()
    evidence.record(B, 2.0, succeeded=True)
    for number in range(19):
        evidence.record(LaneKey(f"lane{number}"), 2.0, succeeded=number >= 4)
    evidence.record(B, 2.0, succeeded=True)
    evidence.record(C, 2.0, succeeded=False)
    assert evidence.others_pass(A, since=1.0, now=3.0)  # B and 15 more of 20; lane0, the oldest, had failed


def test_a_flapping_endpoint_is_not_poison() -> None:
    evidence = Evidence()
    for number in range(20):
        evidence.record(LaneKey(f"lane{number}"), 2.0, succeeded=number % 3 == 0)
    assert not evidence.others_pass(A, since=1.0, now=3.0)


def test_its_own_success_is_no_evidence_against_it() -> None:
    evidence = Evidence()
    evidence.record(A, 2.0, succeeded=True)
    assert not evidence.others_pass(A, since=1.0, now=3.0)
