"""Which transactions are held behind a dead letter, for ``delivery.on_dead_letter: hold_transaction``.

Every worker follows the dead-letter topic from its start, so a hold outlives a restart, passes to whoever
gets the partition in a rebalance, and ends when a redrive's notes arrive.

What was read may be old, and both mistakes cost: a hold not seen yet breaks the order, one that has ended
makes another dead letter. So nothing is delivered from partitions just assigned until all that was in the
topic by then has been read, and an event is given up only after asking once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog
from mode import Service

from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from eventproc.held_index import HeldIndex
from eventproc.redrive import LaneId, TopicRecord
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")


class HeldLanes(Service):
    """Follows the topic; ``_needed`` is the number of the read that the last assignment asked for."""

    def __init__(self, settings: Settings, topic: str, **kwargs: Any) -> None:
        self._index = HeldIndex()
        self._topic = topic
        self._needed = 1
        self._done = 0
        self._listeners: dict[Callable[[], None], None] = {}
        self._follower = TopicFollower(
            partial(topic_reader, settings, topic), self._apply, self._on_done, _lost, self._deleted
        )
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The reader starts and stops with this."""
        return [self._follower]

    @property
    def is_current(self) -> bool:
        """Whether everything is read that was there at the last ``refresh``."""
        return self._done >= self._needed

    def refresh(self, when_current: Callable[[], None]) -> None:
        """Be current only after reading on to the topic's present end; then call back."""
        self._needed = self._follower.ask()
        self._listeners[when_current] = None

    async def caught_up(self) -> None:
        """Wait until everything is read that is in the topic now."""
        await self._follower.caught_up()

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """This worker is about to write a dead letter: its lane is held from now on.

        Before, not after: the reader can see the record sooner than the writer sees its acknowledgement.
        """
        self._index.announce(lane, event_id, redriven)

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """The dead letter was not written."""
        self._index.retract(lane, event_id, redriven)

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """Whether the record at this place of its destination's topic must not be delivered."""
        return self._index.is_held(lane, partition, offset, redriven)

    def _apply(self, record: Any) -> None:
        # Headers are all that matters here, and values can be large.
        self._index.apply(
            TopicRecord(record.offset, record.key, None, list(record.headers), record.partition)
        )

    def _deleted(self) -> None:
        """The dead letters are gone, so nothing waits behind them."""
        self._index = HeldIndex()
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)

    def _on_done(self, number: int) -> None:
        was_current = self.is_current
        self._done = number
        if self.is_current and not was_current:
            log.info("held_lanes.current")
            for listener in self._listeners:
                listener()


def held_lanes(settings: Settings) -> HeldLanes | None:
    """Return the lanes that are held, for who holds transactions; no one else needs to follow the topic."""
    if settings.delivery.on_dead_letter != "hold_transaction":
        return None
    return HeldLanes(settings, settings.topics.dead_letter)


def _lost(error: Exception) -> None:
    log.warning("held_lanes.reader_restarts", problem=repr(error))


class UnsharedHolds:
    """The same for an engine that stands alone: holds last as long as it does."""

    is_current = True

    def __init__(self) -> None:
        self._index = HeldIndex()

    def refresh(self, when_current: Callable[[], None]) -> None:
        """There is nothing to read."""

    async def caught_up(self) -> None:
        """There is nothing to read."""

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """As ``HeldLanes.announce``."""
        self._index.announce(lane, event_id, redriven)

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        """As ``HeldLanes.retract``."""
        self._index.retract(lane, event_id, redriven)

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        """As ``HeldLanes.is_held``."""
        return self._index.is_held(lane, partition, offset, redriven)
