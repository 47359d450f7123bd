"""What a worker reads, and how it lets go of it: the insides of Faust (0.15.3) for partitions as a whole.

``App._on_partitions_revoked``
    In a stop Faust tells nobody that partitions are taken away and lets go of them at once, with requests in
    flight. Proof: tests/chaos/test_sigterm.py, in a rebalance.
``Conductor.add``, ``App.resubscribe``
    Faust subscribes to a topic that comes at run time after 45 s, and hands nothing over before; from then on
    aiokafka knows no assignment and takes no commit, so all in flight would come twice. Proof:
    tests/integration/test_reload.py, clients that come and go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

import faust
from faust.transport import conductor
from faust.types import TP, TopicT

POLL_SECONDS: Final = 0.1


class Conductor(conductor.Conductor):
    """Faust's conductor, which leaves it to ``App.resubscribe`` when topics come and go."""

    _topics: set[TopicT]

    def add(self, topic: Any) -> None:
        """An agent reads this topic."""
        self._topics.add(topic)

    def forget(self, names: Collection[str]) -> None:
        """No agent reads these any more."""
        self._topics = {topic for topic in self._topics if not set(topic.topics).intersection(names)}


class App(faust.App):
    """Faust's app, which hands its partitions over in good order also while it stops."""

    async def resubscribe(self, leaving: Collection[str] = ()) -> None:
        """Read what the agents read now, less ``leaving``.

        Drained and committed before, as in a rebalance, and never in the middle of one.
        """
        while self.rebalancing or not self.rebalancing_count:  # noqa: ASYNC110 - Faust tells nobody
            await asyncio.sleep(POLL_SECONDS)
        if self.should_stop:
            return
        await self._on_partitions_revoked(set(self.consumer.assignment()))
        self.topics.forget(leaving)
        await self.consumer.subscribe(await self.topics._update_indices())  # noqa: SLF001 - Faust's own way

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self.should_stop:
            await self.on_partitions_revoked.send(revoked)
        await super()._on_partitions_revoked(revoked)
