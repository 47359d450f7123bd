"""Kafka is reachable or not, since when, and why; one report for each change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from eventproc.delivery.kafka_access import Access, LetIn, Refused, Unreachable
from eventproc.delivery.kafka_tls import KeyStoreError
from eventproc.delivery.kafka_watch import SILENT_SECONDS, TRUST_SECONDS, KafkaWatch

WALL = 1_795_500_000.0


@dataclass
class Scene:
    answered: float | None = 0.0
    access: Access | KeyStoreError = field(default_factory=lambda: LetIn(frozenset()))
    now: float = 0.0
    asked: int = 0

    def __post_init__(self) -> None:
        self.watch = KafkaWatch(lambda: self.answered, self._ask, lambda: self.now, lambda: WALL + self.now)

    async def _ask(self) -> Access:
        self.asked += 1
        if isinstance(self.access, KeyStoreError):
            raise self.access
        return self.access

    async def look(self, now: float, answered: float | None = None) -> Any:
        self.now = now
        self.answered = self.answered if answered is None else answered
        with structlog.testing.capture_logs() as logs:
            await self.watch.look()
        return [one["event"] for one in logs]


async def test_fetches_that_are_answered_are_evidence_enough() -> None:
    scene = Scene()
    for now in range(0, 100, 2):
        assert await scene.look(now, now - 1.0) == []
        assert scene.watch.is_reachable
    assert scene.asked == 0


@pytest.mark.parametrize(
    ("access", "cause"),
    [
        (Unreachable("k:9092: no answer"), "k:9092: no answer"),
        (Refused("k:9092: user name or password is wrong"), "k:9092: user name or password is wrong"),
        (KeyStoreError("no such file"), "no such file"),
    ],
)
async def test_an_outage_has_its_beginning_and_cause_and_is_told_once(access: Any, cause: str) -> None:
    scene = Scene(access=access)
    await scene.look(100, 100)
    assert await scene.look(100 + SILENT_SECONDS) == ["kafka.unreachable"]
    assert await scene.look(150) == []
    outage = scene.watch.outage
    assert outage is not None
    assert outage.since == WALL + 100, "the last answer, not when it was noticed"
    assert str(outage) == f"Kafka is unreachable since 2026-11-24T06:01:40.000Z: {cause}"
    assert scene.watch.unreachable_seconds == 50
    assert not scene.watch.is_reachable
    assert await scene.look(160, 160) == ["kafka.reachable"]
    assert scene.watch.outage is None
    assert scene.watch.unreachable_seconds == 0


async def test_a_worker_that_fetches_nothing_asks_now_and_then_and_stays_sure_meanwhile() -> None:
    scene = Scene(answered=None)
    for now in range(0, 301, 2):
        assert await scene.look(now) == []
        assert scene.watch.is_reachable
    assert scene.asked <= 300 / (TRUST_SECONDS / 2) + 1
    scene.access = Unreachable("gone")
    told = [event for now in range(302, 334, 2) for event in await scene.look(now)]
    assert told == ["kafka.unreachable"]
    scene.access = LetIn(frozenset())
    assert await scene.look(400) == ["kafka.reachable"]


async def test_silence_alone_is_not_taken_for_an_outage_nor_for_evidence() -> None:
    scene = Scene()
    await scene.look(10, 10)
    scene.now = 10 + SILENT_SECONDS
    assert not scene.watch.is_reachable
    assert scene.watch.outage is None
