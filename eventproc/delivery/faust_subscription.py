"""What a worker reads, and how it lets go of it: the insides of Faust (0.15.3) for partitions as a whole.

``App._on_partitions_revoked``
    In a stop Faust tells nobody that partitions are taken away and lets go of them at once, with requests in
    flight. Proof: tests/chaos/test_sigterm.py, in a rebalance.
``AgentTopics``, ``Conductor.poll_of``
    A Faust agent's topics are fixed when it starts, and each partition has a way of its own to its stream. An
    agent for each destination made a thousand streams, and a thousand messages of a poll of one record each.
    Proof: tests/unit/delivery/test_agent_topics.py, tests/integration/test_reload.py.
``Conductor.add``, ``App.resubscribe``
    Faust subscribes to a topic that comes at run time after 45 s, and hands nothing over before; from then on
    aiokafka knows no assignment and takes no commit, so all in flight would come twice. Proof:
    tests/integration/test_reload.py, clients that come and go.
``App._stay_in_the_group``
    Why Kafka refuses a rebalance, aiokafka tells whoever fetches, and waits until it is heard; in a rebalance
    Faust does not fetch, so such a worker stood still for ever, without a word, outside the group. Here it is
    heard, aiokafka tries again, and a worker that is refused again and again leaves. Proof:
    tests/integration/test_many_topics.py, a worker that Kafka refuses.
``MissingTopics``
    A topic that a broker has not heard of yet when the group shares partitions out is left out until aiokafka
    looks again, after five minutes: so long its events stood still, at a first start with a thousand topics
    on a slow broker. Proof: tests/integration/test_many_topics.py, a topic that comes late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Final

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError
from faust.transport import conductor
from faust.types import TP
from mode import Service

from eventproc.errors import EventprocError

log = structlog.stdlib.get_logger("eventproc.delivery")

POLL_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 1.0
RARELY_SECONDS: Final = 30.0
NO_PARTITION: Final = -1
MOST_REFUSALS: Final = 60
FORGIVEN_SECONDS: Final = 60.0
"""After so long without a refusal they are counted anew."""


OTHER_PROTOCOL: Final = (
    "another program has this consumer group, with another protocol: eventproc doctor names it; "
    "give one of the two another topics.consumer_group"
)


class RefusedError(EventprocError):
    """Kafka does not let this worker into the group; the worker ends with it."""


class AgentTopics(faust.Topic):
    """What one agent reads: topics that come and go. Faust's clones of it share them."""

    agent = ""

    @classmethod
    def read_by(cls, agent: str, names: Iterable[str], app: faust.App, **options: Any) -> AgentTopics:
        """The topics of an agent of this name; ``options`` are those of a Faust topic."""
        made = cls(app, **options)
        made.agent, made.topics = agent, list(names)
        return made

    def clone(self, *, is_iterator: bool | None = None, **options: Any) -> Any:
        """Faust's, with the same list."""
        twin: Any = super().clone(is_iterator=is_iterator, **options)
        twin.agent, twin.topics = self.agent, self.topics
        return twin


class Conductor(conductor.Conductor):
    """Faust's conductor, with one way to each agent; ``App.resubscribe`` is told when topics come and go."""

    _topics: set[Any]

    def __init__(self, app: Any, **kwargs: Any) -> None:
        self._polls: dict[str, TP] = {}
        super().__init__(app, **kwargs)

    def add(self, topic: Any) -> None:
        """An agent reads this."""
        self._topics.add(topic)

    def poll_of(self, topic: str) -> TP | None:
        """What stands for the partition in a message with all that a poll brought the topic's agent.

        None: nobody reads the topic any more.
        """
        return self._polls.get(topic)

    def _update_callback_map(self) -> None:
        self._polls = {}
        for topics in self._topics:
            poll = TP(topics.agent, NO_PARTITION)
            self._tp_to_callback[poll] = self._build_handler(poll, {topics})
            self._polls.update(dict.fromkeys(topics.topics, poll))


class MissingTopics:
    """Asks for metadata anew while subscribed topics are not in it, less and less often."""

    def __init__(self) -> None:
        self._seconds = LOOK_SECONDS
        self._next = 0.0

    def look(self, consumer: AIOKafkaConsumer, now: float) -> None:
        """Called every ``LOOK_SECONDS``, in the consumer's loop; what is found makes aiokafka join anew."""
        client = consumer._client  # noqa: SLF001 - see the head of the module
        if consumer.subscription() <= client.cluster.topics():
            self._seconds = LOOK_SECONDS
        elif now >= self._next:
            self._next = now + self._seconds
            self._seconds = min(self._seconds * 2, RARELY_SECONDS)
            client.force_metadata_update()


class App(faust.App):
    """Faust's app, which hands its partitions over in good order also while it stops."""

    async def resubscribe(self, topics: AgentTopics, leaving: Collection[str] = ()) -> None:
        """Read what the agents read now, and of ``topics`` no more those that are ``leaving``.

        Drained and committed before, as in a rebalance, and never in the middle of one.
        """
        while self.rebalancing or not self.rebalancing_count:  # noqa: ASYNC110 - Faust tells nobody
            await asyncio.sleep(POLL_SECONDS)
        if self.should_stop:
            return
        await self._on_partitions_revoked(set(self.consumer.assignment()))
        topics.topics[:] = [name for name in topics.topics if name not in leaving]
        await self.consumer.subscribe(await self.topics._update_indices())  # noqa: SLF001 - Faust's own way

    def refresh_topics(self) -> None:
        """Ask Kafka soon which topics there are; one that came or went is followed by a rebalance."""
        thread = self._consumer and self._consumer._thread  # noqa: SLF001 - see the head of the module

        def ask() -> None:
            if consumer := thread._consumer:  # noqa: SLF001
                consumer._client.force_metadata_update()  # noqa: SLF001

        if thread and thread.thread_loop.is_running():
            with suppress(RuntimeError):  # it has just ended
                thread.thread_loop.call_soon_threadsafe(ask)

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self.should_stop:
            await self.on_partitions_revoked.send(revoked)
        await super()._on_partitions_revoked(revoked)

    @Service.task
    async def _stay_in_the_group(self) -> None:
        refusals, last = 0, 0.0
        heard: deque[KafkaError] = deque()
        missing = MissingTopics()
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            self._hear(heard, missing)
            while heard:
                refusal, now = heard.popleft(), self.loop.time()
                refusals = refusals + 1 if now - last < FORGIVEN_SECONDS else 1
                last = now
                hint = OTHER_PROTOCOL if isinstance(refusal, InconsistentGroupProtocolError) else None
                log.warning("group.refused", problem=repr(refusal)[:200], times=refusals, hint=hint)
                if refusals >= MOST_REFUSALS:
                    await self.crash(RefusedError(f"Kafka refuses the group {self.conf.id}: {refusal!r}"))
                    return

    def _hear(self, heard: deque[KafkaError], missing: MissingTopics) -> None:
        """Adds what aiokafka waits to tell, soon, and in its own thread; with that it goes on."""
        thread = self._consumer and self._consumer._thread  # noqa: SLF001 - see the head of the module

        def ask() -> None:
            consumer = thread._consumer  # noqa: SLF001
            if not consumer or not consumer._coordinator:  # noqa: SLF001
                return
            try:
                consumer._coordinator.check_errors()  # noqa: SLF001
            except KafkaError as error:
                heard.append(error)
            missing.look(consumer, thread.thread_loop.time())

        if thread and thread.thread_loop.is_running():
            with suppress(RuntimeError):  # it has just ended
                thread.thread_loop.call_soon_threadsafe(ask)
