"""The breaker's states, and the evidence that tells poison from an outage."""

from __future__ import annotations

from eventproc.breaker import Breaker, BreakerState, Evidence
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
    for _ in range(7):
        breaker.on_success(64)
        limits.append(breaker.limit(64, now=1.0))
    assert limits == [2, 4, 8, 16, 32, 64, 64]
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


def test_old_successes_are_none() -> None:
    evidence = Evidence()
    evidence.record(B, 2.0, succeeded=True)
    assert not evidence.others_pass(A, since=1.0, now=903.0)


def test_a_flapping_endpoint_is_not_poison() -> None:
    evidence = Evidence()
    for number in range(20):
        evidence.record(LaneKey(f"lane{number}"), 2.0, succeeded=number % 3 == 0)
    assert not evidence.others_pass(A, since=1.0, now=3.0)


def test_its_own_success_is_no_evidence_against_it() -> None:
    evidence = Evidence()
    evidence.record(A, 2.0, succeeded=True)
    assert not evidence.others_pass(A, since=1.0, now=3.0)
