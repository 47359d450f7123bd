"""Who works on which partition, and what may be committed: the joint between the consumer and the engines.

The consumer tells it what is assigned and asks it what to commit; engines and the router stand behind it by
topic. A rebalance takes everything away and gives it back (aiokafka's group protocol is eager), so the answer
to it is always the same: let what is in flight finish within a bound, commit, forget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog

from eventproc.delivery.partitions import Partition
from eventproc.watermark import CommitPoint

log = structlog.stdlib.get_logger("eventproc.delivery")


class PartitionHandler(Protocol):
    """Whoever works on the records of a topic."""

    def assign(self, partition: Partition, committed: int | None, metadata: str) -> None:
        """This partition is yours from the committed offset on."""

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What changed since the last commit."""

    def committed(self, partition: Partition, point: CommitPoint) -> None:
        """The broker took it."""

    async def drain(self, timeout_seconds: float) -> None:
        """Start nothing more, finish what is in flight within the bound."""

    def release(self) -> None:
        """Nothing is yours any more."""


class Ledger:
    """All partitions of this worker by the handler of their topic."""

    def __init__(self) -> None:
        self._handlers: dict[str, PartitionHandler] = {}
        self._generation: int | None = None

    def register(self, topic: str, handler: PartitionHandler) -> None:
        """``handler`` works on ``topic``."""
        self._handlers[topic] = handler

    def unregister(self, topic: str) -> None:
        """Nobody works on ``topic`` any more; what is assigned of it was released."""
        self._handlers.pop(topic, None)

    def handler_of(self, topic: str) -> Any:
        """Who works on ``topic``, as registered; None: nobody."""
        return self._handlers.get(topic)

    def assigned(self, positions: Mapping[Partition, tuple[int | None, str]], generation: int) -> None:
        """Partitions are ours, each with its committed offset (None: nothing committed) and metadata.

        Faust also asks in the middle of a rebalance, when the old assignment still stands; what it said then
        is void in the next generation of the group.
        """
        if generation != self._generation:
            self.release()
            self._generation = generation
        for partition, (committed, metadata) in positions.items():
            if (handler := self._handlers.get(partition[0])) is not None:
                handler.assign(partition, committed, metadata)

    def commit_points(self) -> dict[Partition, CommitPoint]:
        """What to commit now, over all handlers."""
        points: dict[Partition, CommitPoint] = {}
        for handler in self._handlers.values():
            if changed := handler.commit_points():  # of a thousand most have nothing
                points.update(changed)
        return points

    def committed(self, points: Mapping[Partition, CommitPoint]) -> None:
        """The broker took these."""
        for partition, point in points.items():
            if (handler := self._handlers.get(partition[0])) is not None:
                handler.committed(partition, point)

    async def drain(self, timeout_seconds: float) -> None:
        """All handlers side by side, within one bound."""
        await asyncio.gather(*(handler.drain(timeout_seconds) for handler in self._distinct()))

    def release(self) -> None:
        """Nothing is ours any more."""
        for handler in self._distinct():
            handler.release()

    def _distinct(self) -> Iterable[PartitionHandler]:
        return dict.fromkeys(self._handlers.values())
