"""What a worker does with the control topic: nothing is delivered before it is read, and a pause holds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import structlog

from eventproc.delivery.control import Control, Pausable
from eventproc.delivery.watchdog import engine_pulse
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause, pause_value
from settings import load_settings
from tests.fakes.clock import settle
from tests.unit.delivery.test_engine import World

TEST = DestinationId("test")
PAUSE = Pause("ann", "their database moves", "2026-11-25T10:00:00Z")


class Desk:
    """A worker with one engine and a control topic whose records come when the test says so."""

    def __init__(self) -> None:
        self.world = World()
        engines: dict[DestinationId, Pausable] = {TEST: self.world.engine}
        self.control = Control(load_settings(env={}), engines)

    def tells(self, value: bytes | None, key: bytes = TEST.encode()) -> None:
        record: Any = SimpleNamespace(key=key, value=value, offset=0)
        self.control._apply(record)

    def is_read(self) -> None:
        self.control._done(1)

    async def sent(self) -> list[str]:
        await settle()
        return self.world.sent


async def test_nothing_is_delivered_before_it_is_known_what_is_paused() -> None:
    desk = Desk()
    desk.world.accept(0, "t")
    assert await desk.sent() == []
    desk.is_read()
    assert await desk.sent() == ["e0"]
    assert desk.control.loaded.is_set()


async def test_a_destination_paused_before_the_start_delivers_nothing_at_all() -> None:
    desk = Desk()
    desk.world.accept(0, "t")
    desk.tells(pause_value(PAUSE))
    assert await desk.sent() == []
    desk.is_read()
    assert await desk.sent() == []
    assert dict(desk.control.paused) == {TEST: PAUSE}
    desk.tells(None)
    assert await desk.sent() == ["e0"]


async def test_one_that_was_paused_and_resumed_before_the_start_delivers() -> None:
    desk = Desk()
    desk.world.accept(0, "t")
    desk.tells(pause_value(PAUSE))
    desk.tells(None)
    assert await desk.sent() == [], "not before everything is read"
    desk.is_read()
    assert await desk.sent() == ["e0"]


async def test_a_pause_while_running_holds_what_comes_and_a_resume_lets_it_go() -> None:
    desk = Desk()
    desk.is_read()
    desk.tells(pause_value(PAUSE))
    desk.world.accept(0, "t")
    await desk.world.clock.advance(1000)
    assert await desk.sent() == []
    assert desk.world.engine.waiting == 1
    desk.tells(None)
    assert await desk.sent() == ["e0"]


async def test_a_pause_is_no_standstill_for_the_watchdog() -> None:
    desk = Desk()
    desk.world.accept(0, "t")
    assert not engine_pulse(desk.world.engine).should_move, "nor is a start"
    desk.is_read()
    desk.tells(pause_value(PAUSE))
    desk.world.accept(1, "u")
    assert not engine_pulse(desk.world.engine).should_move


async def test_a_record_nobody_can_read_leaves_a_pause_in_force() -> None:
    desk = Desk()
    desk.is_read()
    desk.tells(pause_value(PAUSE))
    with structlog.testing.capture_logs() as logs:
        desk.tells(b"resume, please")
    assert [line["event"] for line in logs] == ["control.unreadable"]
    desk.world.accept(0, "t")
    assert await desk.sent() == []


async def test_a_destination_that_is_not_here_is_left_alone() -> None:
    desk = Desk()
    desk.is_read()
    desk.tells(pause_value(PAUSE), b"client.gone.sep24")
    desk.world.accept(0, "t")
    assert await desk.sent() == ["e0"]
    assert set(desk.control.paused) == {"client.gone.sep24"}


async def test_each_change_is_told_once_and_what_is_paused_at_the_start_too() -> None:
    desk = Desk()
    with structlog.testing.capture_logs() as logs:
        desk.tells(pause_value(PAUSE))
        desk.is_read()
        desk.tells(pause_value(PAUSE))
        desk.tells(None)
        desk.tells(None)
    told = [line for line in logs if line["event"].startswith("destination.")]
    assert told == [
        {
            "event": "destination.paused",
            "destination": TEST,
            "by": "ann",
            "reason": "their database moves",
            "at": "2026-11-25T10:00:00Z",
            "log_level": "info",
        },
        {"event": "destination.resumed", "destination": TEST, "log_level": "info"},
    ]


async def test_a_destination_that_comes_later_starts_as_all_others_do() -> None:
    early, late, paused = Desk(), Desk(), Desk()
    late.is_read()
    paused.tells(pause_value(PAUSE))
    paused.is_read()
    for desk in (early, late, paused):
        desk.world.engine.resume()  # as an engine that was made a moment ago
        desk.control.adopt(TEST)
        desk.world.accept(0, "t")
    assert await early.sent() == [], "it is not known yet what is paused"
    assert await late.sent() == ["e0"]
    assert await paused.sent() == []
    early.is_read()
    assert await early.sent() == ["e0"]
