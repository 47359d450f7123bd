"""Keeps aiokafka from calling it an error that a topic which we have just made is not everywhere yet.

A broker says yes to a new topic before it has leaders, and other brokers hear of it later; aiokafka logs each
look in between as an error, at every first start. Only these messages are held back, only of topics that
this process has made, and only for a moment: what is still missing then is real trouble, and is said.
Proof that it is needed: tests/unit/delivery/test_topics_just_made.py, on aiokafka's own lines (0.14).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

MOMENT_SECONDS: Final = 20.0
"""A thousand topics at once take some seconds to get their leaders."""

_ABOUT_A_TOPIC: Final = {
    "aiokafka.cluster": (
        "Topic %s is not available during auto-create initialization",
        "Topic %s not found in cluster metadata",
    ),
    "aiokafka.consumer.group_coordinator": ("OffsetFetchRequest -- unknown topic %s",),
}


class TopicsJustMade(logging.Filter):
    """Which topics are new, and what is not worth a line about them; ``clock`` in seconds, only growing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._until: dict[str, float] = {}

    def expect(self, topics: Iterable[str]) -> None:
        """These are being made now."""
        until = self._clock() + MOMENT_SECONDS
        self._until.update(dict.fromkeys(topics, until))
        for name in _ABOUT_A_TOPIC:
            logging.getLogger(name).addFilter(self)  # once, however often

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        if record.msg not in _ABOUT_A_TOPIC.get(record.name, ()) or not isinstance(record.args, tuple):
            return True
        topic = str(record.args[0]) if record.args else ""
        return self._clock() >= self._until.get(topic, 0.0)


topics_just_made: Final = TopicsJustMade()
