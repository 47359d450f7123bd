"""A dead-letter topic in memory, which can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc.dead_letters import DeadLetter
from eventproc.delivery.inbound import InboundRecord


@dataclass
class FakeDeadLetters:
    letters: list[tuple[DeadLetter, InboundRecord]] = field(default_factory=list)
    failures_left: int = 0
    can_be_redriven: bool = True

    async def put(self, letter: DeadLetter, record: InboundRecord) -> bool:
        if self.failures_left > 0:
            self.failures_left -= 1
            raise ConnectionError("no leader")
        self.letters.append((letter, record))
        return self.can_be_redriven


@dataclass
class FakeFlow:
    paused: set[tuple[str, int]] = field(default_factory=set)
    pauses: int = 0

    def pause(self, partitions: object) -> None:
        self.pauses += 1
        self.paused |= set(partitions)  # type: ignore[call-overload]

    def resume(self, partitions: object) -> None:
        self.paused -= set(partitions)  # type: ignore[call-overload]
