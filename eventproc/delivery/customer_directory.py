"""The customer index, shared by all workers through a compacted topic.

Every worker reads the whole topic at start, and routes nothing before it has: an event of a known customer
must not become an event of nobody because a worker is young. A Faust ``GlobalTable`` does the same through
Faust's own assignor and a recovery at each rebalance; a plain reader costs neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog
from mode import Service

from eventproc.customer_index import CustomerIndex
from eventproc.delivery.ownership_log import warn_of_contested
from eventproc.delivery.topic_follower import DELETED_HINT, TopicFollower
from eventproc.delivery.topic_reader import topic_reader
from settings import Settings

log = structlog.stdlib.get_logger("eventproc.delivery")


class CustomerDirectory(Service):
    """Keeps ``index`` up to date; ``ready`` is set when it holds everything written before the start.

    Args:
        settings: how to reach Kafka.
        topic: the index's.
        in_force: the settings now: with ``shared_customers`` no customer is contested.
        kwargs: mode's.
    """

    def __init__(
        self, settings: Settings, topic: str, in_force: Callable[[], Settings], **kwargs: Any
    ) -> None:
        self.index = CustomerIndex()
        self._in_force = in_force
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
        if record.key is None:
            return
        naming = self.index.restore(record.key, record.value)
        if naming is None or not self.ready.is_set() or self._in_force().delivery.shared_customers:
            return
        if self.index.rivals_of(naming.customer):  # the router reports what this worker learns
            warn_of_contested(self.index, naming.customer)

    def _deleted(self) -> None:
        """What is known stays true."""
        log.warning("topic.deleted", topic=self._topic, hint=DELETED_HINT)

    def _done(self, number: int) -> None:  # noqa: ARG002 - the first read is all that is asked for
        self.ready.set()
        contested = 0 if self._in_force().delivery.shared_customers else self.index.contested_count
        log.info("customers.loaded", customers=len(self.index), contested=contested)


def _lost(error: Exception) -> None:
    log.warning("customers.reader_restarts", problem=repr(error))
