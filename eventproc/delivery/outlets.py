"""The way of copies into the destinations' topics: an outlet for each, and one that refuses stops no other.

::

    clear ── full, or the topic not known yet ──> windowed ── nothing waits ──> clear
      └────── Kafka refuses a copy, or answers nothing while it answers others ──> single
    single ── nothing waits ──> clear

``clear`` copies go straight to the producer. ``windowed`` ones wait here, for aiokafka would make its caller
wait, and with it every destination. In ``single``, one copy at a time is sent and waited for; what Kafka
refuses as too large, and what has waited beyond the bounds, goes to the dead-letter topic.

The sinks' replay filter takes a copy for a replay when its partition has seen a later one of the same source
partition. So behind a refusal no copy is written before all earlier ones of its topic are acknowledged, there
or in the dead-letter topic: what comes back from the producer is put before what waits, in order. Each copy
holds its source offset meanwhile, so a crash repeats it.

Considered: a producer for each destination. Measured on Kafka 4.1: 30 KB, 5 ms of CPU at the start and a
connection to each broker; so 1,000 connections to each with 1,000 destinations, and a request for each topic.
It would still have to keep this order. Here a topic moves to another producer only when aiokafka cannot go on
with it (``RecordProducer.readmit``), and all such topics share one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from mode import Service

from eventproc.delivery.topic_troubles import TopicTroubles
from eventproc.records import Headers

log = structlog.stdlib.get_logger("eventproc.router")

WINDOW_BYTES: Final = 192 * 1024
"""Unanswered at a time: below aiokafka's batch, which makes its caller wait when it is full."""

STALL_SECONDS: Final = 10.0
"""A copy unanswered for so long, while Kafka acknowledges later ones of other topics, is taken back."""

MOST_WAITING: Final = 1000
"""Copies that wait for all troubled topics together; the router pauses the source at four times as many."""

WAIT_SECONDS: Final = 600.0
"""How long a copy may wait, and hold its source offset."""

RETRY_INITIAL_SECONDS: Final = 1.0
RETRY_MAX_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0


class Producer(Protocol):
    """What this needs of ``RecordProducer``."""

    def is_known(self, topic: str) -> bool:
        """Whether a send to the topic does not wait for its metadata."""

    async def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Append one record; the future ends when Kafka has acknowledged it."""

    async def send_alone(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send one record as a batch of its own and wait for its acknowledgement."""

    async def readmit(self, topic: str) -> None:
        """Let the topic take records again after a refusal."""

    def withdraw(self, topic: str) -> None:
        """Take the topic's records back from the producer."""

    def problem_of(self, topic: str) -> str | None:
        """What Kafka last answered about the topic."""


@dataclass(slots=True, eq=False)
class Copy:
    """One record for a destination's topic.

    ``done`` is called once it is written or set aside; ``set_aside`` writes its dead letter for a reason and
    returns when Kafka has acknowledged that.
    """

    key: bytes
    value: bytes | None
    headers: Headers
    done: Callable[[], None]
    set_aside: Callable[[str], Awaitable[None]]
    offered_at: float = 0.0

    @property
    def size_bytes(self) -> int:
        """About what it takes in a batch."""
        return len(self.key) + len(self.value or b"") + 512


@dataclass(slots=True)
class Shared:
    """What all outlets know together."""

    producer: Producer
    troubles: TopicTroubles
    clock: Callable[[], float]
    start: Callable[[Awaitable[None]], object]
    """Runs a task until it ends, or the worker stops."""
    acknowledged_at: float = 0.0
    """When Kafka last acknowledged a copy of any topic."""
    troubled: set[Outlet] = field(default_factory=set)

    @property
    def most_waiting(self) -> int:
        """How many copies may wait for one troubled topic."""
        return MOST_WAITING // max(1, len(self.troubled))


class Outlet:
    """The way into one topic; ``offer`` is called by one task, in the order of the source."""

    def __init__(self, topic: str, shared: Shared) -> None:
        self.topic = topic
        self._shared = shared
        self._waiting: deque[Copy] = deque()
        self._returned: deque[Copy] = deque()
        """What the producer gave back, before all that waits."""
        self._unanswered: dict[Copy, float] = {}
        self._bytes = 0
        self._is_running = False
        self._is_single = False
        self._answered = asyncio.Event()

    async def offer(self, copy: Copy) -> None:
        """Send the copy, or let it wait behind others of its topic; waits for nothing."""
        copy.offered_at = self._shared.clock()
        if self._is_running or self._bytes > WINDOW_BYTES or not self._shared.producer.is_known(self.topic):
            self._waiting.append(copy)
            self._run()
        else:
            await self._send(copy)

    def look(self) -> None:
        """Take everything back from a topic that is not answered while others are; call it now and then."""
        for since in self._unanswered.values():
            if self._shared.acknowledged_at > since + STALL_SECONDS:
                self._report(self._shared.producer.problem_of(self.topic) or "no answer")
                self._shared.producer.withdraw(self.topic)
            return

    def forget(self) -> None:
        """Send nothing more of what waits: the source partition's next owner reads it again."""
        forgotten = [*self._returned, *self._waiting]
        self._returned.clear()
        self._waiting.clear()
        for copy in forgotten:
            copy.done()

    async def _send(self, copy: Copy) -> None:
        try:
            future = await self._shared.producer.send(self.topic, copy.key, copy.value, copy.headers)
        except KafkaError as error:  # refused like the one before it, whose future has not been heard yet
            self._waiting.append(copy)
            self._refuse(error)
        else:
            self._await_answer(copy, future)

    def _await_answer(self, copy: Copy, future: asyncio.Future[Any]) -> None:
        self._unanswered[copy] = self._shared.clock()
        self._bytes += copy.size_bytes
        future.add_done_callback(partial(self._on_answer, copy))

    def _on_answer(self, copy: Copy, future: asyncio.Future[Any]) -> None:
        del self._unanswered[copy]
        self._bytes -= copy.size_bytes
        self._answered.set()
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self._shared.acknowledged_at = self._shared.clock()
            copy.done()
        else:
            self._returned.append(copy)
            self._refuse(error)

    def _refuse(self, error: BaseException) -> None:
        self._is_single = True
        self._report(repr(error)[:200])
        self._run()

    def _report(self, problem: str) -> None:
        self._shared.troubled.add(self)
        self._shared.troubles.begin(self.topic, self, problem)

    def _run(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._shared.start(self._work_off())

    async def _work_off(self) -> None:
        """Send what waits. Until this ends, nothing of the topic is sent elsewhere."""
        wait_seconds = RETRY_INITIAL_SECONDS
        try:
            while self._waiting or self._returned or (self._is_single and self._unanswered):
                if not self._is_single:
                    await self._send_windowed()
                    continue
                while self._unanswered:
                    await self._next_answer()
                self._waiting.extendleft(reversed(self._returned))
                self._returned.clear()
                if self._waiting and not await self._is_first_sent():
                    await self._set_aside_what_is_too_much()
                    await asyncio.sleep(wait_seconds)
                    wait_seconds = min(wait_seconds * 2, RETRY_MAX_SECONDS)
                else:
                    wait_seconds = RETRY_INITIAL_SECONDS
            self._is_single = False
            self._shared.troubled.discard(self)
            self._shared.troubles.end(self.topic, self)
        finally:
            self._is_running = False

    async def _send_windowed(self) -> None:
        if self._bytes > WINDOW_BYTES:
            await self._next_answer()
            return
        copy = self._waiting.popleft()
        try:
            future = await self._shared.producer.send(self.topic, copy.key, copy.value, copy.headers)
        except KafkaError as error:
            self._waiting.appendleft(copy)
            self._refuse(error)
        else:
            self._await_answer(copy, future)

    async def _next_answer(self) -> None:
        self._answered.clear()
        await self._answered.wait()

    async def _is_first_sent(self) -> bool:
        """Send the first copy alone; whether it is off our hands, written or set aside."""
        producer, copy = self._shared.producer, self._waiting[0]
        try:
            await producer.readmit(self.topic)
            await self._answer(producer.send_alone(self.topic, copy.key, copy.value, copy.headers))
        except MessageSizeTooLargeError as error:
            await copy.set_aside(f"{self.topic} refuses it: {type(error).__name__}")
        except KafkaError as error:
            self._report(repr(error)[:200])
            return False
        else:
            self._shared.acknowledged_at = self._shared.clock()
        self._remove_first(copy)
        return True

    async def _answer(self, sending: Awaitable[None]) -> None:
        """Wait for an answer; after a while, for that of the broker to what is taken back."""
        task = asyncio.ensure_future(sending)
        done, _ = await asyncio.wait([task], timeout=STALL_SECONDS)
        if not done:
            self._report(self._shared.producer.problem_of(self.topic) or "no answer")
            self._shared.producer.withdraw(self.topic)
        await task

    async def _set_aside_what_is_too_much(self) -> None:
        shared = self._shared
        while self._waiting:
            copy = self._waiting[0]
            waited = shared.clock() - copy.offered_at
            if len(self._waiting) <= shared.most_waiting and waited <= WAIT_SECONDS:
                return
            trouble = shared.troubles.current.get(self.topic)
            problem = "it takes no records" if trouble is None else trouble.problem
            await copy.set_aside(f"{self.topic} refuses it: {problem}")
            self._remove_first(copy)

    def _remove_first(self, copy: Copy) -> None:
        if self._waiting and self._waiting[0] is copy:  # else forgotten meanwhile
            self._waiting.popleft()
            copy.done()


class Outlets(Service):
    """The outlets of all destinations' topics."""

    def __init__(
        self, producer: Producer, troubles: TopicTroubles, clock: Callable[[], float], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._shared = Shared(producer, troubles, clock, self.add_future)
        self._by_topic: dict[str, Outlet] = {}

    def of(self, topic: str) -> Outlet:
        """The way into a topic."""
        if (outlet := self._by_topic.get(topic)) is None:
            outlet = self._by_topic[topic] = Outlet(topic, self._shared)
        return outlet

    def forget(self) -> None:
        """The source is somebody else's: send nothing more of what waits."""
        for outlet in self._by_topic.values():
            outlet.forget()

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            for outlet in self._by_topic.values():
                outlet.look()
