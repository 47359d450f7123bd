"""A worker that Kafka does not let into its group: heard, tried again, and given up in the end."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import structlog
from aiokafka.errors import KafkaError, UnknownError

from eventproc.delivery.faust_subscription import (
    FORGIVEN_SECONDS,
    MOST_REFUSALS,
    App,
    MissingTopics,
    RefusedError,
)


class Refused:
    """As much of the app as looks after the group; looks are as far apart as told."""

    def __init__(self, answers: list[KafkaError | None], seconds_apart: float = 1.0) -> None:
        self.answers = answers
        self.seconds_apart = seconds_apart
        self.now = 1000.0
        self.loop = SimpleNamespace(time=lambda: self.now)
        self.conf = SimpleNamespace(id="the-group")
        self.crashes: list[BaseException] = []

    @property
    def should_stop(self) -> bool:
        return not self.answers

    async def sleep(self, _: float) -> None:
        self.now += self.seconds_apart

    async def crash(self, reason: BaseException) -> None:
        self.crashes.append(reason)

    def _hear(self, heard: deque[KafkaError], _missing: MissingTopics) -> None:
        if (answer := self.answers.pop(0)) is not None:
            heard.append(answer)


async def look_after(app: Any) -> list[Any]:
    task: Any = App._stay_in_the_group
    with structlog.testing.capture_logs() as logs:
        await task.fun(app)
    return [entry["times"] for entry in logs if entry["event"] == "group.refused"]


async def test_a_refusal_now_and_then_is_told_and_no_reason_to_leave() -> None:
    app = Refused([UnknownError(), None] * MOST_REFUSALS, FORGIVEN_SECONDS)
    assert await look_after(app) == [1] * MOST_REFUSALS
    assert app.crashes == []


async def test_a_worker_that_is_refused_again_and_again_leaves() -> None:
    app = Refused([UnknownError(), None] * (MOST_REFUSALS + 5))
    assert await look_after(app) == list(range(1, MOST_REFUSALS + 1))
    (reason,) = app.crashes
    assert isinstance(reason, RefusedError)
    assert "the-group" in str(reason)


async def test_a_worker_that_is_not_refused_is_left_alone() -> None:
    app = Refused([None, None])
    assert await look_after(app) == []
    assert app.crashes == []
