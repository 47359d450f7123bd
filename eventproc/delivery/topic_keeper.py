"""Makes a topic of ours again that somebody has deleted, with its configured partitions and retention.

The anchor's topic is the anchor's. A shared topic is made at the next look. A destination's topic has readers
that would take the offsets of the new one for those of the old, and so records below their position for done.
They must have let go of it before::

    deleted ── each worker sees it at a look, and asks for metadata ── the topic is not in it: rebalance
            ── Kafka drops the group's offsets of it ── made again ── rebalance ── read from its beginning

So it is made when it was missing at ``MISSING_LOOKS`` looks in a row and this worker reads none of its
partitions. All workers look equally often, so each of them has looked by then; and a rebalance ends when all
have joined. The router's copies for it wait meanwhile, in order (``outlets.py``).

A topic that somebody else deletes and makes again between two fetches is noticed by a position beyond its end
(``read_positions.py``), or, if it has grown beyond that by then, not at all: the versions of the protocol
that aiokafka (0.14) speaks have neither topic ids nor leader epochs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.engine import Engine
from eventproc.delivery.topics import TopicError, TopicPlan, declare_topics, list_topics, plan_topics
from settings import Settings

DELETED_HINT: Final = "the topic was deleted, with all that was in it"
UNDELIVERED_HINT: Final = (
    "the topic was deleted, with what was not delivered yet: find out who deletes topics, and send the "
    "events of that time again by `eventproc replay --since TIME --destination ID`"
)
LOOK_SECONDS: Final = 5.0
MISSING_LOOKS: Final = 3
ANSWER_SECONDS: Final = 30.0

log = structlog.stdlib.get_logger("eventproc.delivery")


def topics_read(engines: Callable[[], Iterable[Engine]]) -> dict[str, bool]:
    """Return of each present destination's topic whether this worker reads a partition of it."""
    return {one.destination.topic: bool(one.partitions) for one in engines() if not one.is_removed}


class TopicKeeper(Service):
    """Looks every ``LOOK_SECONDS`` whether our topics are there.

    Args:
        settings: of the worker.
        destinations: of each destination's topic at present, whether this worker reads a partition of it.
        refresh: makes the consumer ask Kafka at once which topics there are.
        list_: the topics that there are.
        declare: makes those of some plans that are not there, and returns their names.
        kwargs: mode's.
    """

    def __init__(
        self,
        settings: Settings,
        destinations: Callable[[], Mapping[str, bool]],
        refresh: Callable[[], None],
        *,
        list_: Any = list_topics,
        declare: Any = declare_topics,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._destinations = destinations
        self._refresh = refresh
        self._list = list_
        self._declare = declare
        self._shared = {plan.name for plan in plan_topics(settings, [])} - {settings.topics.source}
        self._missing: Counter[str] = Counter()
        """Of each destination's topic that is missing, at how many looks in a row."""
        self._is_failing = False
        super().__init__(**kwargs)

    @Service.task
    async def _keep(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Make what is missing; what Kafka refuses is tried again at the next look."""
        try:
            existing = await asyncio.wait_for(self._list(self._settings), ANSWER_SECONDS)
            names = [*(self._shared - existing), *self._unread(existing)]
            made = await asyncio.wait_for(self._make(names), ANSWER_SECONDS) if names else []
        except (KafkaError, OSError, TopicError, asyncio.TimeoutError) as error:
            if not self._is_failing:
                log.warning("topic.not_created", problem=repr(error)[:200])
            self._is_failing = True
            return
        self._is_failing = False
        for topic in made:
            hint = DELETED_HINT if topic in self._shared else UNDELIVERED_HINT
            log.warning("topic.created_again", topic=topic, hint=hint)
        if set(made) - self._shared:
            self._refresh()

    def _unread(self, existing: set[str]) -> Iterable[str]:
        """The destinations' topics that nobody reads by now, out of those that are missing."""
        destinations = self._destinations()
        before, self._missing = self._missing, Counter()
        for topic in destinations.keys() - existing:
            self._missing[topic] = before[topic] + 1
            if topic not in before:
                log.warning("topic.deleted", topic=topic, hint=UNDELIVERED_HINT)
        if self._missing or before:
            self._refresh()  # it is gone, or there again
        return [
            topic
            for topic, looks in self._missing.items()
            if looks >= MISSING_LOOKS and not destinations[topic]
        ]

    async def _make(self, names: list[str]) -> list[str]:
        plans: list[TopicPlan] = plan_topics(self._settings, sorted(set(names) - self._shared))
        made: list[str] = await self._declare(self._settings, [plan for plan in plans if plan.name in names])
        return made
