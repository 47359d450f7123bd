"""What an agent reads may change, and each agent gets a poll's records in one message."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from eventproc.delivery.faust_internals import BatchSchema, Consumer
from eventproc.delivery.faust_subscription import NO_PARTITION, AgentTopics, App, Conductor, MissingTopics

SOURCE, A, B, GONE = TP("source", 0), TP("a", 0), TP("b", 3), TP("gone", 0)


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> App:
    loop = asyncio.get_running_loop()
    made = App("test", loop=loop, broker="kafka://127.0.0.1:1", autodiscover=False, store="memory://")
    monkeypatch.setattr(Conductor, "_build_handler", lambda _self, _tp, topics: topics)  # asks for a consumer
    return made


def read_by(app: App, agent: str, *names: str) -> AgentTopics:
    return AgentTopics.read_by(agent, names, app, schema=BatchSchema(), acks=False)


async def test_what_faust_clones_reads_the_same(app: App) -> None:
    topics = read_by(app, "sinks", "a")
    clone: Any = topics.clone(is_iterator=True)
    topics.topics.append("b")
    assert clone.topics == ["a", "b"]
    assert clone.agent == "sinks"
    assert clone.is_iterator


async def test_an_agent_may_have_nothing_to_read_yet(app: App) -> None:
    topics = read_by(app, "sinks")
    clone: Any = topics.clone(is_iterator=True)
    topics.topics.append("a")
    assert clone.topics == ["a"]


async def test_each_agent_has_one_way(app: App) -> None:
    conductor = Conductor(app)
    sinks = read_by(app, "sinks", "a", "b")
    for topics in (read_by(app, "router", "source"), sinks):
        conductor.add(topics)
    assert set(await conductor._update_indices()) == {"source", "a", "b"}
    assert conductor.poll_of("a") == conductor.poll_of("b") == TP("sinks", NO_PARTITION)
    assert conductor.poll_of("source") == TP("router", NO_PARTITION)
    assert conductor.poll_of("gone") is None
    sinks.topics.remove("a")
    assert set(await conductor._update_indices()) == {"source", "b"}
    assert conductor.poll_of("a") is None


class PollingConsumer:
    """The consumer's own ``getmany`` over what a poll brings."""

    getmany = Consumer.getmany
    should_stop = False
    flow_active = True

    def __init__(self, conductor: Conductor, *polls: dict[TP, list[Any]]) -> None:
        self.app = SimpleNamespace(topics=conductor, consumer_generation_id=4)
        self.polls = list(polls)
        self._polls = 0
        self._buffered_partitions: set[TP] = set()
        self.active: set[TP] | None = None
        self.steps: dict[TP, Any] = {}
        self._thread = SimpleNamespace(take_steps=lambda: self.steps)

    async def _wait_next_records(self, timeout: float) -> Any:
        return self.polls.pop(0), self.active


async def _messages(consumer: Any) -> list[tuple[TP, Any]]:
    return [found async for found in consumer.getmany(1.0)]


@pytest.fixture
async def conductor(app: App) -> Conductor:
    made = Conductor(app)
    made.add(read_by(app, "router", "source"))
    made.add(read_by(app, "sinks", "a", "b"))
    await made._update_indices()
    return made


async def test_a_poll_is_one_message_for_each_agent(conductor: Conductor) -> None:
    consumer = PollingConsumer(
        conductor, {A: ["a1", "a2"], SOURCE: ["s1"], B: ["b1"], GONE: ["?"]}, {B: ["b2"], A: []}
    )
    first, second = await _messages(consumer), await _messages(consumer)
    assert {poll.topic: message.value for poll, message in first} == {
        "sinks": [(A, ["a1", "a2"]), (B, ["b1"])],
        "router": [(SOURCE, ["s1"])],
    }
    assert [message.value for _, message in second] == [[(B, ["b2"])]]
    offsets = [message.offset for _, message in (*first, *second)]
    assert offsets == sorted(set(offsets)), "Faust drops what is below what it has read"
    assert all(message.tp == poll and message.generation_id == 4 for poll, message in first)


async def test_what_is_not_active_is_left_out(conductor: Conductor) -> None:
    consumer = PollingConsumer(conductor, {A: ["a1"], B: ["b1"]})
    consumer.active = {A}
    assert [message.value for _, message in await _messages(consumer)] == [[(A, ["a1"])]]


async def test_nothing_is_handed_on_after_a_rebalance(conductor: Conductor) -> None:
    consumer = PollingConsumer(conductor, {A: ["a1"], SOURCE: ["s1"]})
    found = []
    async for poll, _ in consumer.getmany(1.0):  # type: ignore[misc]
        found.append(poll.topic)
        consumer.app.consumer_generation_id = 5
    assert found == ["sinks"]


class FakeConsumer:
    """A consumer's subscription, and how often metadata was asked for."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.asked = 0
        self._client = self.cluster = self

    def subscription(self) -> frozenset[str]:
        return frozenset({"a", "b"})

    def topics(self) -> set[str]:
        return self.known

    def force_metadata_update(self) -> None:
        self.asked += 1


def test_missing_topics_are_looked_for_at_once_and_then_less_and_less_often() -> None:
    consumer: Any = FakeConsumer("a", "other")
    missing = MissingTopics()
    asked_at = []
    for second in range(200):
        before = consumer.asked
        missing.look(consumer, float(second))
        if consumer.asked > before:
            asked_at.append(second)
    assert asked_at[:6] == [0, 1, 3, 7, 15, 31]
    assert asked_at[6:] == list(range(61, 200, 30))


def test_nothing_is_asked_when_all_is_known_and_soon_again_when_it_is_not() -> None:
    consumer: Any = FakeConsumer("a", "b")
    missing = MissingTopics()
    missing.look(consumer, 0.0)
    assert consumer.asked == 0
    consumer.known = {"a"}
    for second in range(1, 6):
        missing.look(consumer, float(second))
    consumer.known = {"a", "b"}
    missing.look(consumer, 6.0)
    consumer.known = {"a"}
    asked = consumer.asked
    missing.look(consumer, 10.0)
    missing.look(consumer, 11.0)
    assert consumer.asked == asked + 2
