"""The customer index, shared by all workers through a compacted topic.

Every worker reads the whole topic at start, and routes nothing before it has: an event of a known customer
must not become an event of nobody because a worker is young. A Faust ``GlobalTable`` does the same through
Faust's own assignor and a recovery at each rebalance; a plain reader costs neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog
from mode import Service

from eventproc.customer_index import CustomerIndex
from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")


class CustomerDirectory(Service):
    """Keeps ``index`` up to date; ``ready`` is set when it holds everything written before the start."""

    def __init__(self, settings: Settings, topic: str, **kwargs: Any) -> None:
        self.index = CustomerIndex()
        self.ready = asyncio.Event()
        self._topic = topic
        self._follower = TopicFollower(
            partial(topic_reader, settings, topic), self._apply, self._done, _lost, self._deleted
        )
        super().__init__(**kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """The reader starts and stops with this."""
        return [self._follower]

    def _apply(self, record: Any) -> None:
        if record.key is not None:
            self.index.restore(record.key.decode("utf-8", "replace"), record.value)

    def _deleted(self) -> None:
        """What is known stays true."""
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)

    def _done(self, number: int) -> None:  # noqa: ARG002 - the first read is all that is asked for
        self.ready.set()
        log.info("customers.loaded", customers=len(self.index))


def _lost(error: Exception) -> None:
    log.warning("customers.reader_restarts", problem=repr(error))
