"""Makes a topic of ours again that somebody has deleted, with its configured partitions and retention.

The anchor's topic is the anchor's. The destinations' topics are left alone, too: a running worker takes
offsets below the last one that it read for done, so what is written to a topic made again would be lost. A
restart makes it, and reads it from its beginning.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.delivery.topics import TopicError, declare_topics, plan_topics
from settings import Settings

DELETED_HINT: Final = "the topic was deleted, with all that was in it"

log = structlog.stdlib.get_logger("eventproc.delivery")

LOOK_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0


class TopicKeeper(Service):
    """Looks every ``LOOK_SECONDS`` whether our shared topics are there."""

    def __init__(self, settings: Settings, **kwargs: Any) -> None:
        self._settings = settings
        self._plans = [plan for plan in plan_topics(settings, []) if plan.name != settings.topics.source]
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
            made = await asyncio.wait_for(declare_topics(self._settings, self._plans), ANSWER_SECONDS)
        except (KafkaError, OSError, TopicError, asyncio.TimeoutError) as error:
            if not self._is_failing:
                log.warning("topic.not_created", problem=repr(error)[:200])
            self._is_failing = True
            return
        self._is_failing = False
        for topic in made:
            log.warning(
                "topic.created_again", topic=topic, hint="the topic was deleted, with all that was in it"
            )
