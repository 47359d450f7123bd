"""Keeps aiokafka from calling it an error that a topic which we have just made is not everywhere yet.

A broker says yes to a new topic before it has leaders, and other brokers hear of it later; aiokafka looks
again every 100 ms and logs each look as an error: at the first start on a slow machine 465 of them, in 30 s.
Only these messages are held back, only of topics that this process has made, and only for a moment: what is
missing then is real trouble, and is said. Proof that it is needed:
tests/unit/delivery/test_topics_just_made.py, on aiokafka's own lines (0.14).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    UnknownTopicOrPartitionError,
)

MOMENT_SECONDS: Final = 30.0

OFFSETS_TOPIC: Final = "__consumer_offsets"
"""The broker's own, made at the first question of a group: a new cluster has it a moment after ours."""

_ABOUT_TOPICS: Final = {
    "aiokafka.cluster": (
        "Topic %s is not available during auto-create initialization",
        "Topic %s not found in cluster metadata",
    ),
    "aiokafka.consumer.fetcher": ("Failed fetch offsets from %s: %s",),
    "aiokafka.consumer.group_coordinator": (
        "Group Coordinator Request failed: %s",
        "OffsetFetchRequest -- unknown topic %s",
    ),
}


class TopicsJustMade(logging.Filter):
    """Which topics are new, and what is not worth a line about them; ``clock`` in seconds, only growing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._until: dict[str, float] = {}

    def expect(self, topics: Iterable[str]) -> None:
        """These are being made now."""
        if new := list(topics):
            self._until.update(dict.fromkeys([*new, OFFSETS_TOPIC], self._clock() + MOMENT_SECONDS))
        for name in _ABOUT_TOPICS:
            logging.getLogger(name).addFilter(self)  # once, however often

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        if record.msg not in _ABOUT_TOPICS.get(record.name, ()) or not isinstance(record.args, tuple):
            return True
        now = self._clock()
        return not any(now < self._until.get(topic, 0.0) for topic in _topics_in(record.args))


def _topics_in(arguments: tuple[Any, ...]) -> Iterator[str]:
    """The topics that a message says are not there yet; other errors name none."""
    for one in arguments:
        match one:
            case str():
                yield one
            case GroupCoordinatorNotAvailableError():
                yield OFFSETS_TOPIC
            case (
                LeaderNotAvailableError(args=(partition, *_))
                | NotLeaderForPartitionError(args=(partition, *_))
                | UnknownTopicOrPartitionError(args=(partition, *_))
            ):
                yield str(getattr(partition, "topic", partition))


topics_just_made: Final = TopicsJustMade()
