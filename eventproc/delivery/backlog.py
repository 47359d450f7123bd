"""How much is in hand, and the tap that is shut while it is too much: for the router as for every engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from eventproc.delivery.held_bytes import EVENT_BYTES, HeldBytes
from eventproc.delivery.partitions import AssignedPartitions, Partition

RESUME_SHARE: Final = 0.5


class FlowControl(Protocol):
    """The consumer's tap for single partitions."""

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Fetch no more from these."""

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Fetch from these again."""


class Backlog:
    """Counts records accepted and not done; pauses ``partitions`` above ``max_records``, or for memory.

    What was fetched before the pause still comes, and is counted like everything else.
    """

    def __init__(
        self, flow: FlowControl, partitions: AssignedPartitions, max_records: int, memory: HeldBytes
    ) -> None:
        self._flow = flow
        self._partitions = partitions
        self.max_records = max_records
        self._account = memory.account(self._reconsider)
        self._memory = memory
        self.records = 0
        self.is_holding_back = False

    def assigned(self, partition: Partition) -> None:
        """A partition has come to those that are ours."""
        if self.is_holding_back:
            self._flow.pause([partition])

    def add(self, value_bytes: int) -> None:
        """A record was accepted."""
        self.records += 1
        self._account.add(value_bytes + EVENT_BYTES)
        if self.is_holding_back:
            return
        if self._account.is_over:
            self._memory.hold_back(self._account)
        elif self.records <= self.max_records:
            return
        self.is_holding_back = True
        self._flow.pause(self._partitions)

    def remove(self, value_bytes: int) -> None:
        """A record is done."""
        self.drop(1, value_bytes)
        self._reconsider()

    def drop(self, records: int, value_bytes: int) -> None:
        """Records are no longer ours to do; what is paused stays so."""
        self.records -= records
        self._account.remove(value_bytes + records * EVENT_BYTES)

    def drop_all(self) -> None:
        """Nothing is in hand any more."""
        self.records = 0
        self._account.remove(self._account.held_bytes)

    def open(self) -> None:
        """Let everything flow again, whatever is in hand; call it before the partitions are forgotten."""
        if self.is_holding_back:
            self.is_holding_back = False
            self._memory.let_go_on(self._account)
            self._flow.resume(self._partitions)

    def _reconsider(self) -> None:
        if self.is_holding_back and self.records <= self.max_records * RESUME_SHARE:
            if self._account.may_go_on:
                self.open()
            else:  # held back by the number of records until now
                self._memory.hold_back(self._account)


class PartitionTap:
    """Partitions that are not fetched from at present. Written by the loop, read by the consumer's thread."""

    def __init__(self) -> None:
        self._paused: frozenset[Partition] = frozenset()

    @property
    def paused(self) -> frozenset[Partition]:
        """The paused partitions, an immutable set that another thread may keep."""
        return self._paused

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Fetch no more from these; what was fetched already still arrives."""
        self._paused |= frozenset(partitions)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Fetch from these again, within ``PAUSED_POLL_SECONDS``."""
        self._paused -= frozenset(partitions)
