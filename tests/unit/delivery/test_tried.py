"""What is remembered of events that a rebalance takes away."""

from __future__ import annotations

import pytest

from eventproc.delivery import tried
from eventproc.delivery.inbound import Job
from eventproc.delivery.tried import Tried
from eventproc.identifiers import LaneKey
from eventproc.lanes import Lane
from eventproc.records import read_origin
from tests.fakes.records import record


def job(offset: int, attempts: int = 0) -> Job:
    inbound = record(offset, "a")
    return Job(inbound, read_origin(inbound.headers), attempts)


def lane(head: Job, until: float | None = None) -> Lane[Job]:
    made: Lane[Job] = Lane(LaneKey("a"), postponed_until=until)
    made.items.append(head)
    return made


def test_what_comes_back_goes_on_and_only_once() -> None:
    memory = Tried()
    gone = job(3, attempts=2)
    gone.failures_of_its_own, gone.first_failed_at = 1, 5.0
    memory.remember([lane(gone, until=90.0), lane(job(4))])

    back = job(3)
    assert memory.recall(back) == 90.0
    assert (back.attempts, back.failures_of_its_own, back.first_failed_at) == (2, 1, 5.0)
    assert memory.recall(job(3)) is None
    assert memory.recall(job(4)) is None


def test_what_has_not_come_back_yet_is_remembered_over_the_next_rebalance() -> None:
    memory = Tried()
    memory.remember([lane(job(1, attempts=1), until=10.0)])
    memory.remember([lane(job(2, attempts=1), until=20.0)])
    assert [memory.recall(job(offset)) for offset in (1, 2)] == [10.0, 20.0]


def test_no_more_than_a_bound_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "REMEMBERED", 2)
    memory = Tried()
    memory.remember(lane(job(offset, attempts=1), until=1.0) for offset in range(5))
    assert [memory.recall(job(offset)) for offset in range(5)] == [None, None, None, 1.0, 1.0]
