"""From a Faust stream to the handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.sink import feed
from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.read_positions import Gap

A, B, GONE = TP("a", 0), TP("b", 1), TP("gone", 0)


class Stream:
    """What Faust's stream has of events, and the app that is crashed."""

    def __init__(self, *values: Any) -> None:
        self.values = values
        self.crashes: list[BaseException] = []
        self.app = self

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        for value in self.values:
            yield SimpleNamespace(value=value)

    async def crash(self, error: BaseException) -> None:
        self.crashes.append(error)


class Handler:
    def __init__(self, broken_at: int | None = None) -> None:
        self.taken: list[InboundRecord] = []
        self.steps: list[Any] = []
        self.broken_at = broken_at

    def accept(self, record: InboundRecord) -> None:
        if record.offset == self.broken_at:
            raise RuntimeError("a bug")
        self.taken.append(record)

    def step(self, partition: Any, step: Any) -> None:
        self.steps.append((partition, step))


def record(offset: int) -> Any:
    return SimpleNamespace(
        offset=offset, key=b"k", value=b"%d" % offset, headers=(("h", b"1"),), timestamp=1000 + offset
    )


async def test_each_record_comes_to_its_topics_handler_in_order() -> None:
    handlers = {"a": Handler(), "b": Handler()}
    stream = Stream([(A, [record(1), record(2)]), (B, [record(7)])], [(A, [record(3)])])
    await feed(handlers.get, "sinks")(stream)
    assert [one.offset for one in handlers["a"].taken] == [1, 2, 3]
    assert handlers["b"].taken == [InboundRecord(B, 7, b"k", b"7", [("h", b"1")], 1007)]


async def test_a_step_comes_to_its_topics_handler_as_it_is() -> None:
    handler = Handler()
    await feed({"a": handler}.get, "sinks")(Stream([(A, [record(1)]), (A, Gap(2, 4)), (GONE, Gap(1, 2))]))
    assert handler.steps == [(("a", 0), Gap(2, 4))]
    assert len(handler.taken) == 1


async def test_what_nobody_reads_any_more_is_left_alone() -> None:
    handler = Handler()
    await feed({"a": handler}.get, "sinks")(Stream([(GONE, [record(1)]), (A, [record(2)])]))
    assert [one.offset for one in handler.taken] == [2]


async def test_a_handler_that_fails_ends_the_worker() -> None:
    """Faust would start the agent again behind it, and the offsets left out would be committed over."""
    stream = Stream([(A, [record(1)]), (B, [record(1)])], [(B, [record(2)])])
    handlers = {"a": Handler(broken_at=1), "b": Handler()}
    with pytest.raises(RuntimeError):
        await feed(handlers.get, "sinks")(stream)
    assert [repr(error) for error in stream.crashes] == ["RuntimeError('a bug')"]
    assert handlers["b"].taken == []


def test_the_agent_is_called_by_its_name() -> None:
    assert feed(lambda _topic: None, "sinks").__name__ == "sinks"
