"""A long run is worth what its ledger and its judgement see: both on made-up runs, in no time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.results import Machine
from bench.soak import document
from bench.soak.churn import Schedule, schedule
from bench.soak.ledger import ForgetfulLedger, Repetition
from bench.soak.receivers import BUSINESS, Fault
from bench.soak.results import KILL, RESTART, RESULT, Mark, ProcessSample, Sample, SoakResult
from bench.soak.verdicts import judge, repeated_unasked
from tests.chaos.ledger import DeliveryLedger, Tally

CLIENTS = [f"client-{number:04}" for number in range(20)]
HOUR = 3600.0
EVERY = 15.0
AT_REST = "file descriptors at rest: more than before the load"
GRACE = 10.0


# --- the ledger that forgets


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6), st.integers(0, 12))
def test_within_the_grace_time_it_counts_as_the_ledger_that_remembers_everything(
    order: list[int], again: list[int], lost: int
) -> None:
    """Three transactions at two destinations; some deliveries come twice, the last ones of the order never."""
    remembers, forgets = DeliveryLedger(), ForgetfulLedger(GRACE)
    deliveries = [(destination, f"e{n}", f"t{n % 3}") for n in range(6) for destination in ("a", "b")]
    for delivery in deliveries:
        remembers.due(*delivery)
        forgets.due(*delivery, now=0.0)
    for number in [*order[: len(order) - lost], *again]:
        destination, event_id, _ = deliveries[number]
        remembers.received(destination, event_id)
        forgets.received(destination, event_id, now=1.0)
        forgets.forget(now=1.0 + GRACE)
    assert forgets.tally() == remembers.tally()
    assert forgets.waiting == remembers.missing


def test_what_is_done_is_forgotten_after_the_grace_time_and_not_before() -> None:
    ledger = ForgetfulLedger(GRACE)
    for number in range(1_000):
        ledger.due("a", f"e{number}", f"t{number // 4}", now=float(number))
        ledger.received("a", f"e{number}", now=float(number))
        ledger.forget(now=float(number))
        assert len(ledger) <= GRACE + 2 * 4
    assert ledger.tally() == Tally(sent=1_000, received=1_000, lost=0, duplicates=0, out_of_order=0)


def test_what_has_not_come_is_never_forgotten_and_gets_old() -> None:
    ledger = ForgetfulLedger(GRACE)
    ledger.due("a", "e0", "t", now=0.0)
    ledger.due("a", "e1", "t", now=5.0)
    ledger.received("a", "e1", now=5.0)
    ledger.forget(now=1_000.0)
    assert (ledger.tally().lost, ledger.oldest_seconds(1_000.0)) == (1, 1_000.0)
    ledger.received("a", "e0", now=1_000.0)
    assert (ledger.tally().out_of_order, ledger.oldest_seconds(1_001.0)) == (1, 0.0)


def test_what_comes_again_after_it_was_forgotten_is_counted_as_a_stranger() -> None:
    ledger = ForgetfulLedger(GRACE)
    ledger.due("a", "e0", "t", now=0.0)
    ledger.received("a", "e0", now=1.0)
    ledger.received("a", "e0", now=2.0)
    ledger.forget(now=100.0)
    ledger.received("a", "e0", now=101.0)
    assert (ledger.tally().duplicates, ledger.tally().strangers) == (1, 1)
    assert ledger.repetitions == [Repetition(1.0, 2.0)]


def test_a_repetition_is_explained_by_a_kill_behind_the_first_and_by_no_other() -> None:
    kills = [100.0]
    assert repeated_unasked([Repetition(99.5, 131.0), Repetition(96.0, 140.0)], kills) == 0
    assert repeated_unasked([Repetition(50.0, 131.0)], kills) == 1, "long delivered and committed before"
    assert repeated_unasked([Repetition(98.0, 99.0)], kills) == 1, "came again before the kill"
    assert repeated_unasked([Repetition(140.0, 150.0)], kills) == 1, "long after it"
    assert repeated_unasked([Repetition(99.5, 131.0)], []) == 1


# --- the judgement


def held(rss_mb: float, descriptors: int = 60, threads: int = 9, pid: int = 1) -> ProcessSample:
    return ProcessSample(pid, rss_mb, descriptors, threads, 0.0)


def run_of(worker: Callable[[float], ProcessSample | None], seconds: float = HOUR) -> SoakResult:
    """A run without a blemish but for what the long-lived worker holds, by seconds since the load began."""
    samples = tuple(
        Sample(
            at=number * EVERY,
            workers=(worker(number * EVERY), held(90.0, pid=2 + number // 40)),
            broker=held(500.0, pid=99),
            published=round(150 * number * EVERY),
            delivered=round(300 * number * EVERY),
            waiting=12,
            oldest_seconds=0.1,
        )
        for number in range(int(seconds / EVERY) + 1)
    )
    due = round(300 * seconds)
    return SoakResult(
        date="2026-01-05T10-00-00",
        machine=Machine("a processor", 2, 8, "3.12.0", "uvloop", "Apache Kafka 4.1.0"),
        seed=1,
        workers=2,
        clients=20,
        events_per_second=150.0,
        capacity_per_second=300.0,
        asked_seconds=seconds,
        load_seconds=seconds,
        drain_seconds=3.0,
        ended_early=False,
        is_shared=True,
        tally=Tally(sent=due, received=due, lost=0, duplicates=5, out_of_order=0),
        repeated_unasked=0,
        unverified=0,
        set_aside=0,
        problems=(),
        ready=held(90.0, 25),
        at_rest=held(100.0, 28),
        marks=(
            Mark(300.0, 309.0, RESTART, "worker 1"),
            Mark(600.0, 630.0, KILL, "worker 1"),
            Mark(700.0, 730.0, Fault.HANGS.value, BUSINESS),
        ),
        samples=samples,
    )


def noisy(at: float) -> float:
    """Some MB up and down, and now and then much more for a minute."""
    jitter = random.Random(at).uniform(-8.0, 8.0)
    return jitter + (60.0 if at % 600.0 < 60.0 else 0.0)


def missed(result: SoakResult) -> list[str]:
    return [verdict.what for verdict in judge(result) if not verdict.is_met]


GOOD = run_of(lambda at: held(100.0 + noisy(at), 60 + round(noisy(at) / 4), 9))


def test_a_flat_noisy_run_is_flat() -> None:
    assert missed(GOOD) == []


def test_warming_up_is_no_leak() -> None:
    assert missed(run_of(lambda at: held(min(100.0, 60.0 + at / 20)))) == []


def test_a_leak_is_found_through_the_noise() -> None:
    """A kilobyte for every thirtieth delivery."""
    mb_per_second = 300 / 30 / 1024
    leaking = run_of(lambda at: held(100.0 + noisy(at) + mb_per_second * at))
    assert missed(leaking) == ["memory: MB that the median grew"]


def test_a_thread_that_stays_behind_at_each_restart_is_found() -> None:
    assert missed(run_of(lambda at: held(100.0, 60, 9 + int(at // 480)))) == ["threads: what the median grew"]


def test_more_connections_under_more_load_are_no_leak_but_what_is_open_at_rest_is() -> None:
    busier = run_of(lambda at: held(100.0, 60 + round(at / 30)))
    assert missed(busier) == []
    assert missed(replace(busier, at_rest=held(100.0, 36))) == [AT_REST]
    assert missed(replace(busier, at_rest=None)) == ["file descriptors: what the median grew"]


def test_a_large_worker_may_grow_by_a_share() -> None:
    assert missed(run_of(lambda at: held(1_000.0 + 40.0 * at / HOUR))) == []
    assert missed(run_of(lambda at: held(1_000.0 + 160.0 * at / HOUR))) == ["memory: MB that the median grew"]


def test_a_run_too_short_to_tell_is_not_called_flat() -> None:
    growths = {"memory: MB that the median grew", "threads: what the median grew"}
    assert growths == set(missed(run_of(lambda _: held(100.0), seconds=120.0)))


def test_a_worker_that_is_not_there_is_not_called_flat() -> None:
    assert "memory: MB that the median grew" in missed(run_of(lambda _: None))


@pytest.mark.parametrize(
    ("worse", "what"),
    [
        (replace(GOOD, tally=replace(GOOD.tally, lost=1)), "deliveries lost"),
        (replace(GOOD, tally=replace(GOOD.tally, out_of_order=1)), "deliveries out of order"),
        (replace(GOOD, tally=replace(GOOD.tally, duplicates=5_000)), "repeated by kills"),
        (replace(GOOD, tally=replace(GOOD.tally, strangers=1)), "received by whom it was not due"),
        (replace(GOOD, marks=GOOD.marks[:1]), "repeated by kills"),
        (replace(GOOD, repeated_unasked=1), "repeated without a kill"),
        (replace(GOOD, unverified=1), "requests that could not be verified"),
        (replace(GOOD, set_aside=1), "set aside"),
        (replace(GOOD, problems=("restart: ended with exit code 1",)), "steps that went wrong"),
    ],
)
def test_whatever_is_asked_can_be_missed(worse: SoakResult, what: str) -> None:
    (found,) = missed(worse)
    assert found.startswith(what)


# --- the churn


def test_the_churn_follows_from_the_seed() -> None:
    assert schedule(1, HOUR, 2, CLIENTS) == schedule(1, HOUR, 2, CLIENTS)
    assert schedule(1, HOUR, 2, CLIENTS) != schedule(2, HOUR, 2, CLIENTS)


@pytest.mark.parametrize("seed", range(10))
def test_an_hour_has_restarts_kills_and_every_fault_and_leaves_the_long_lived_worker_alone(seed: int) -> None:
    steps = schedule(seed, HOUR, 3, CLIENTS)
    assert {step.worker for step in steps.workers} == {1, 2}
    assert 2 <= sum(step.kill for step in steps.workers) < len(steps.workers) / 2
    assert {step.fault for step in steps.faults} == set(Fault)
    assert BUSINESS in {step.receiver for step in steps.faults} > {BUSINESS}
    _assert_bounded(steps, HOUR)


@pytest.mark.parametrize("minutes", [0.5, 2, 10, 120])
def test_a_run_of_any_length_begins_and_ends_in_quiet(minutes: float) -> None:
    steps = schedule(1, 60 * minutes, 2, CLIENTS)
    assert steps.workers
    _assert_bounded(steps, 60 * minutes)


def _assert_bounded(steps: Schedule, load_seconds: float) -> None:
    quiet = min(120.0, 0.1 * load_seconds)
    for step in steps.workers:
        assert quiet <= step.at <= load_seconds - quiet
    free_from = quiet
    for fault in steps.faults:
        assert free_from <= fault.at
        free_from = fault.at + fault.seconds
    assert free_from <= load_seconds - quiet


# --- what is kept


def test_a_result_is_read_as_it_was_written() -> None:
    assert RESULT.validate_json(RESULT.dump_json(GOOD)) == GOOD


def test_the_document_states_the_true_length_and_every_verdict() -> None:
    short = replace(GOOD, load_seconds=2_466.0, ended_early=True)
    text = document.render(short)
    assert "**41.1 minutes** of load, ended early" in text
    assert "150 events/s, half of the 300 sustained" in text
    assert "which others used as well" in text
    for verdict in judge(short):
        assert f"| {verdict.what} |" in text


def test_the_document_and_its_picture_are_of_a_run() -> None:
    text = document.FILE.read_text("utf-8")
    assert document.BEGIN in text
    assert f"]({document.PICTURE.name})" in text
    picture = document.PICTURE.read_text("utf-8")
    assert picture.startswith("<?xml")
    assert "dc:date" not in picture
