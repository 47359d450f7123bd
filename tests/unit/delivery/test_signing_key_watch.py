"""What is said of a planned change of the signing key, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from stellar_sdk import Keypair

from eventproc.delivery.signing_key_watch import CHECK_BEFORE_SECONDS, SigningKeyWatch
from settings import Settings, load_settings
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED

AT = 1_796_119_200.0  # 2026-12-01T10:00:00Z
FOLLOWING = Keypair.random()
PLAN = {
    "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
    "SECRET_SEP10_SIGNING_SEED_NEXT": FOLLOWING.secret,
    "SEP10_SIGNING_SEED_NEXT_AT": "2026-12-01T10:00:00Z",
}


class World:
    """A wall clock turned by hand, and an anchor that publishes what a test says."""

    def __init__(self, now: float, problem: str | None = None, env: Any = PLAN) -> None:
        self.now = now
        self.problem = problem
        self.env = env
        self.asked: list[tuple[float, float]] = []
        self.watch = SigningKeyWatch(lambda: load_settings(env=self.env), self.ask, lambda: self.now)

    async def ask(self, _settings: Settings, at: datetime) -> list[str]:
        self.asked.append((self.now, at.timestamp()))
        return [] if self.problem is None else [self.problem]

    async def look(self, *moments: float) -> list[Any]:
        with structlog.testing.capture_logs() as logs:
            for self.now in moments:
                await self.watch.look()
        return logs


async def test_a_plan_is_told_once_and_the_change_when_it_comes() -> None:
    world = World(AT - 3600)
    logs = await world.look(AT - 3600, AT - 3599, AT - 0.1, AT, AT + 1)
    assert logs == [
        {
            "event": "signing_key.change_planned",
            "at": "2026-12-01T10:00:00.000Z",
            "present": TEST_PUBLIC_KEY,
            "following": FOLLOWING.public_key,
            "log_level": "info",
        },
        {
            "event": "signing_key.changed",
            "at": "2026-12-01T10:00:00.000Z",
            "account": FOLLOWING.public_key,
            "log_level": "info",
        },
    ]


async def test_the_anchor_s_file_is_looked_at_some_minutes_before_and_again_at_the_change() -> None:
    world = World(AT - 3600, problem="it tells wallets another key")
    before = AT - CHECK_BEFORE_SECONDS
    logs = await world.look(AT - 3600, before - 1, before, before + 1, AT, AT + 1, AT + 2)
    assert world.asked == [(before, AT), (AT, AT)]
    warned = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["event"], line["problem"]) for line in warned] == [
        ("signing_key.not_published", "it tells wallets another key")
    ] * 2


async def test_a_worker_that_starts_after_the_change_says_which_key_signs() -> None:
    world = World(AT + 3600)
    assert [line["event"] for line in await world.look(AT + 3600, AT + 3601)] == ["signing_key.changed"]
    assert len(world.asked) == 1


async def test_another_time_is_another_plan() -> None:
    world = World(AT - 3600)
    await world.look(AT - 3600)
    world.env = PLAN | {"SEP10_SIGNING_SEED_NEXT_AT": "2026-12-02T10:00:00Z"}
    (line,) = await world.look(AT - 3599)
    assert (line["event"], line["at"]) == ("signing_key.change_planned", "2026-12-02T10:00:00.000Z")


async def test_without_a_plan_nothing_is_said_or_asked() -> None:
    world = World(AT, env={"SECRET_SEP10_SIGNING_SEED": TEST_SEED})
    assert await world.look(AT, AT + 1) == []
    assert world.asked == []


async def test_no_seed_is_shown() -> None:
    world = World(AT - 1, problem="x")
    logs = str(await world.look(AT - 1, AT))
    assert TEST_SEED not in logs
    assert FOLLOWING.secret not in logs
