"""The group's record is judged as Kafka would: what it takes now, and with a worker more."""

from __future__ import annotations

import pytest

from eventproc.doctor.findings import Check, State
from eventproc.doctor.group_record import judge_group_record

KAFKA_TAKES = 1_048_588
FEW = {"TRANSACTION": 8, "eventproc.callback-api": 8}
MANY = {f"eventproc.client.wallet-{number:06}.sep24": 8 for number in range(2500)}


def judged(
    workers: int, topics: dict[str, int], *, limit: int = KAFKA_TAKES, taken: int | None = KAFKA_TAKES
) -> list[Check]:
    return list(judge_group_record("group g", workers, topics, limit, taken))


def only(checks: list[Check]) -> Check:
    (check,) = checks
    return check


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_small_group_fits(workers: int) -> None:
    check = only(judged(workers, FEW))
    assert check.state is State.OK
    assert "of 1,048,588 bytes" in check.what


def test_it_is_said_when_a_topic_is_shared_by_fewer() -> None:
    check = only(judged(6, MANY))
    assert check.state is State.WARNING
    assert "are shared by" in check.what


def test_the_last_worker_that_fits_is_told() -> None:
    states = [only(judged(workers, MANY)).state for workers in range(1, 15)]
    first_refused = states.index(State.PROBLEM)
    assert states[first_refused:] == [State.PROBLEM] * (14 - first_refused)
    last = only(judged(first_refused, MANY))
    assert last.state is State.WARNING
    assert "with one more" in last.what
    assert "with one more" not in only(judged(first_refused - 1, MANY)).what


def test_a_key_above_what_kafka_takes_is_a_problem_before_it_happens() -> None:
    check, size = judged(1, FEW, limit=2 * KAFKA_TAKES)
    assert check.state is State.PROBLEM
    assert "2,097,176" in check.what
    assert size.state is State.OK


def test_where_kafka_does_not_tell_the_key_counts() -> None:
    assert only(judged(2, MANY, taken=None)).state is State.OK
    assert only(judged(2, MANY, limit=200_000, taken=None)).state is State.PROBLEM
