"""Giving an event up: its dead letter, and the transaction that may be held behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eventproc.dead_letters import DeadLetter, DeadLetterReason
from eventproc.delivery.inbound import InboundRecord, Job
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.redrive import LaneId


class DeadLetterSink(Protocol):
    """Where given-up events go."""

    async def put(self, letter: DeadLetter, record: InboundRecord) -> None:
        """Write one dead letter; returns only when Kafka has acknowledged it, raises when it will not."""


class LaneHolds(Protocol):
    """Which lanes wait behind a dead letter of theirs; see ``held_lanes.py``."""

    @property
    def is_current(self) -> bool:
        """Whether the answers can be relied on for the partitions that are ours."""

    def refresh(self, when_current: Callable[[], None]) -> None:
        """Partitions are ours: read what others have written, then call back."""

    async def caught_up(self) -> None:
        """Wait until everything written by now has been read."""

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """A dead letter is about to be written."""

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """It was not written."""

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """Whether the record at this place must follow its lane's dead letters."""


class DeadLetters:
    """The dead letters of one destination. ``holds`` is None where later siblings simply go on."""

    def __init__(self, destination: DestinationId, sink: DeadLetterSink, holds: LaneHolds | None) -> None:
        self._destination = destination
        self._sink = sink
        self._holds = holds

    @property
    def is_current(self) -> bool:
        """Whether it is known what is held: before, nothing may be delivered."""
        return self._holds is None or self._holds.is_current

    def refresh(self, when_current: Callable[[], None]) -> None:
        """Partitions are ours: others may have given up events of theirs."""
        if self._holds is not None:
            self._holds.refresh(when_current)

    async def is_held(self, lane: LaneKey, job: Job) -> bool:
        """Whether the event must follow its transaction's dead letters.

        Asked twice: the first answer may be from before a redrive.
        """
        if self._holds is None:
            return False
        place = (job.record.partition[1], job.record.offset, job.origin.redriven)
        if not self._holds.is_held((self._destination, lane), *place):
            return False
        await self._holds.caught_up()
        return self._holds.is_held((self._destination, lane), *place)

    def held(self, lane: LaneKey) -> DeadLetter:
        """The dead letter of an event that follows another one."""
        detail = "an earlier event of it is dead-lettered"
        return DeadLetter(self._destination, lane, DeadLetterReason.HELD, 0, detail, None, b"")

    async def write(self, letter: DeadLetter, job: Job) -> None:
        """Step 11 at work: returns when the topic has acknowledged, raises when it will not."""
        if self._holds is None:
            await self._sink.put(letter, job.record)
            return
        lane, event_id, redriven = (letter.destination, letter.lane), job.origin.event_id, job.origin.redriven
        self._holds.announce(lane, event_id, redriven)
        try:
            await self._sink.put(letter, job.record)
        except BaseException:
            self._holds.retract(lane, event_id, redriven)
            raise
