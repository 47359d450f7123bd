"""How events fared that a rebalance takes away: most come back to the same worker, and at once.

Each worker that starts or stops makes a rebalance, so a rolling restart is many. Without this, a receiver
that asked for an hour of peace by ``Retry-After`` would be asked again after each, and an event that nobody
takes would never have had its attempts. Kept in this worker's memory; elsewhere an event begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from eventproc.delivery.inbound import Job
from eventproc.delivery.partitions import Partition
from eventproc.identifiers import EventId
from eventproc.lanes import Lane

REMEMBERED: Final = 1000

_Place: TypeAlias = tuple[Partition, int, EventId]


class _Fate(NamedTuple):
    attempts: int
    failures_of_its_own: int
    first_failed_at: float | None
    postponed_until: float | None


class Tried:
    """What was tried of the last ``REMEMBERED`` of one destination's events that were let go of."""

    def __init__(self) -> None:
        self._fates: dict[_Place, _Fate] = {}

    def remember(self, lanes: Iterable[Lane[Job]]) -> None:
        """These are let go of."""
        for lane in lanes:
            if (job := lane.items[0]).attempts:
                self._fates[_place(job)] = _Fate(
                    job.attempts, job.failures_of_its_own, job.first_failed_at, lane.postponed_until
                )
        for place in list(self._fates)[:-REMEMBERED]:
            del self._fates[place]

    def recall(self, job: Job) -> float | None:
        """Let a job that has come go on as it was; returns until when it was to wait, None: no longer."""
        fate = self._fates.pop(_place(job), None) if self._fates else None
        if fate is None:
            return None
        job.attempts, job.failures_of_its_own, job.first_failed_at, until = fate
        return until


def _place(job: Job) -> _Place:
    return job.record.partition, job.record.offset, job.origin.event_id
