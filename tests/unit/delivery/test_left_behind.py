"""What waits for whom nobody delivers to: never in the way of what else there is to do."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
import structlog

from eventproc.delivery import left_behind
from eventproc.errors import BrokerUnavailableError
from eventproc.group_progress import LeftBehind
from settings import Settings, load_settings

SETTINGS = load_settings(env={})


async def hangs(_settings: Settings, _configured: Collection[str]) -> list[LeftBehind]:
    await asyncio.sleep(60)
    return []


async def fails(_settings: Settings, _configured: Collection[str]) -> list[LeftBehind]:
    raise BrokerUnavailableError("a topic has no leader")


@pytest.mark.parametrize("read", [hangs, fails])
async def test_a_kafka_that_does_not_tell_holds_nothing_up(
    read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_behind, "_read", read)
    monkeypatch.setattr(left_behind, "ANSWER_SECONDS", 0.05)
    with structlog.testing.capture_logs() as logs:
        assert await asyncio.wait_for(left_behind.find_left_behind(SETTINGS, ()), 5) is None
        await asyncio.wait_for(left_behind.warn_of_left_behind(SETTINGS, ()), 5)
    assert {one["event"] for one in logs} == {"destination.left_behind_not_known"}


async def test_each_topic_is_told_at_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(_settings: Settings, _configured: Collection[str]) -> list[LeftBehind]:
        return [LeftBehind("eventproc.client.gone.sep24", 3, True)]

    monkeypatch.setattr(left_behind, "_read", found)
    with structlog.testing.capture_logs() as logs:
        await left_behind.warn_of_left_behind(SETTINGS, ())
    assert [(one["event"], one["topic"], one["waiting"]) for one in logs] == [
        ("destination.not_configured", "eventproc.client.gone.sep24", 3)
    ]
