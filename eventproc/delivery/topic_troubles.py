"""Which of our topics do not take records at present, since when and why: one line in the log for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from eventproc.times import from_ms, iso

log = structlog.stdlib.get_logger("eventproc.delivery")

PATIENCE_SECONDS: Final = 5.0
"""A record that waits for longer for its acknowledgement is a trouble of its topic."""

RETRY_INITIAL_SECONDS: Final = 1.0
RETRY_MAX_SECONDS: Final = 10.0
HINT: Final = "see the runbook of EventprocTopicNotWritable in docs/operations.md"


@dataclass(frozen=True, slots=True)
class TopicTrouble:
    """A topic that does not take records; ``since`` in seconds since the epoch."""

    since: float
    problem: str


class TopicTroubles:
    """The topics in trouble; ``cause_of`` gives what Kafka last answered about a topic, None: nothing."""

    def __init__(
        self,
        cause_of: Callable[[str], str | None] = lambda _topic: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._cause_of = cause_of
        self._wall = wall
        self._current: dict[str, TopicTrouble] = {}
        self._writers: dict[str, set[object]] = {}

    @property
    def current(self) -> Mapping[str, TopicTrouble]:
        """Each topic in trouble."""
        return self._current

    def begin(self, topic: str, writer: object, problem: str) -> None:
        """The topic does not take what ``writer`` has for it; only the topic's first trouble is logged."""
        self._writers.setdefault(topic, set()).add(writer)
        if topic not in self._current:
            self._current[topic] = TopicTrouble(self._wall(), problem)
            log.warning("topic.not_writable", topic=topic, problem=problem, hint=HINT)

    def end(self, topic: str, writer: object) -> None:
        """``writer`` has written, or has nothing more to write; the last of them ends the trouble."""
        writers = self._writers.get(topic, set())
        writers.discard(writer)
        if not writers and (trouble := self._current.pop(topic, None)) is not None:
            del self._writers[topic]
            log.info("topic.writable", topic=topic, seconds=round(self._wall() - trouble.since, 1))

    async def until_written(self, topic: str, write: Callable[[], Awaitable[None]]) -> None:
        """Write one record for as long as it takes, and report the topic's trouble meanwhile.

        Args:
            topic: where it is written.
            write: one attempt; returns when Kafka has acknowledged, raises ``KafkaError`` when it refuses.
        """
        token = object()
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._report_late, topic, token)
        wait_seconds = RETRY_INITIAL_SECONDS
        try:
            while True:
                try:
                    await write()
                except KafkaError as error:
                    self.begin(topic, token, repr(error)[:200])
                else:
                    return
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, RETRY_MAX_SECONDS)
        finally:
            timer.cancel()
            self.end(topic, token)

    def _report_late(self, topic: str, token: object) -> None:
        self.begin(topic, token, self._cause_of(topic) or f"no acknowledgement within {PATIENCE_SECONDS:g} s")


def in_words(topic: str, trouble: TopicTrouble) -> str:
    """One line about it, for readiness."""
    return (
        f"topic {topic} takes no records since {iso(from_ms(int(trouble.since * 1000)))}: {trouble.problem}"
    )
