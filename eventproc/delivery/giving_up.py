"""Giving an event up: its dead letter, and the transaction that may be held behind it.

A dead letter is written beside the engine's slots: while Kafka does not take it, its event holds its own
transaction, and the destination's other events are delivered. No attempt is made on the event meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from eventproc.dead_letters import DeadLetter, DeadLetterReason
from eventproc.delivery.clock import Clock
from eventproc.delivery.inbound import InboundRecord, Job
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.redrive import LaneId

RETRY_INITIAL_SECONDS: Final = 1.0
RETRY_MAX_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 5.0
"""A dead letter that has waited for longer is not waited for in a stop or a rebalance."""


class DeadLetterSink(Protocol):
    """Where given-up events go."""

    async def put(self, letter: DeadLetter, record: InboundRecord) -> bool:
        """Write one dead letter; returns only when Kafka has acknowledged it, raises when it will not.

        False: it does not fit into the dead-letter topic, so it is elsewhere and no redrive can send it.
        """


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

    def __init__(
        self, destination: DestinationId, sink: DeadLetterSink, holds: LaneHolds | None, clock: Clock
    ) -> None:
        self._destination = destination
        self._sink = sink
        self._holds = holds
        self._clock = clock
        self._begun: dict[asyncio.Task[None], float] = {}
        """Each dead letter that Kafka has not acknowledged, and since when it waits."""

    @property
    def waiting(self) -> int:
        """How many dead letters Kafka has not acknowledged."""
        return len(self._begun)

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

    def give_up(self, letter: DeadLetter, job: Job, written: Callable[[], None]) -> None:
        """Step 11. Write the dead letter, for as long as it takes, then call ``written``."""
        task = asyncio.get_running_loop().create_task(self._write_at_last(letter, job, written))
        self._begun[task] = self._clock.monotonic()
        task.add_done_callback(self._begun.pop)

    def still_writing(self) -> Iterable[asyncio.Task[None]]:
        """The tasks worth waiting for in a stop or a rebalance; cancels those that have waited for long."""
        now = self._clock.monotonic()
        for task, since in list(self._begun.items()):
            if now - since > PATIENCE_SECONDS:
                task.cancel()
            yield task

    def abandon(self) -> None:
        """Write no more; each event that is not acknowledged stays with its partition."""
        for task in self._begun:
            task.cancel()

    async def _write_at_last(self, letter: DeadLetter, job: Job, written: Callable[[], None]) -> None:
        wait_seconds = RETRY_INITIAL_SECONDS
        while not await self._is_written(letter, job):
            await self._pause(wait_seconds)
            wait_seconds = min(wait_seconds * 2, RETRY_MAX_SECONDS)
        written()

    async def _is_written(self, letter: DeadLetter, job: Job) -> bool:
        try:
            await self._write(letter, job)
        except Exception:  # noqa: BLE001 - the writer reports; the event must wait
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        over = asyncio.Event()
        timer = self._clock.call_at(self._clock.monotonic() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    async def _write(self, letter: DeadLetter, job: Job) -> None:
        """Return when the topic has acknowledged, raise when it will not."""
        if self._holds is None:
            await self._sink.put(letter, job.record)
            return
        lane, event_id, redriven = (letter.destination, letter.lane), job.origin.event_id, job.origin.redriven
        self._holds.announce(lane, event_id, redriven)
        can_be_redriven = False
        try:
            can_be_redriven = await self._sink.put(letter, job.record)
        finally:
            if not can_be_redriven:  # nothing would ever end the hold
                self._holds.retract(lane, event_id, redriven)
