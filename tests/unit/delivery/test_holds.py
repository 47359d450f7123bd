"""What an engine does with ``on_dead_letter: hold_transaction`` when others write dead letters and notes too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from eventproc.dead_letters import DeadLetterReason, redriven_note
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.held_index import HeldIndex
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.records import Headers
from eventproc.redrive import LaneId, TopicRecord
from settings import load_settings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record
from tests.fakes.sender import OK, FakeSender, Reply, status

PARTITION = (TOPIC, 0)
REDRIVEN = ("redriven", b"2026-11-24T10:00:00Z")


@dataclass
class FakeHolds:
    """A dead-letter topic that is read when the test says so."""

    index: HeldIndex = field(default_factory=HeldIndex)
    is_current: bool = True
    listeners: list[Callable[[], None]] = field(default_factory=list)
    unread: list[TopicRecord] = field(default_factory=list)

    def refresh(self, when_current: Callable[[], None]) -> None:
        self.listeners.append(when_current)

    async def caught_up(self) -> None:
        await asyncio.sleep(0)
        for one in self.unread:
            self.index.apply(one)
        self.unread.clear()

    def announce(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        self.index.announce(lane, event_id, redriven)

    def retract(self, lane: LaneId, event_id: str, redriven: str | None) -> None:
        self.index.retract(lane, event_id, redriven)

    def is_held(self, lane: LaneId, partition: int, offset: int, redriven: str | None) -> bool:
        return self.index.is_held(lane, partition, offset, redriven)

    def letter(self, event_id: str, lane: str = "t") -> TopicRecord:
        headers: Headers = [
            ("event-id", event_id.encode()),
            ("dead-letter-destination", b"test"),
            ("dead-letter-lane", lane.encode()),
        ]
        return TopicRecord(0, event_id.encode(), b"x", headers)

    def note(self, event_id: str, place: int) -> TopicRecord:
        headers = redriven_note(DestinationId("test"), LaneKey("t"), "now", (0, 0), (0, place))
        return TopicRecord(1, event_id.encode(), b"", headers)


@dataclass
class World:
    holds: FakeHolds = field(default_factory=FakeHolds)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)
    dead: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    on_dead_letter: str = "hold_transaction"

    def __post_init__(self) -> None:
        env = {"DELIVERY_ON_DEAD_LETTER": self.on_dead_letter, "DELIVERY_RETRY_POISON_ATTEMPTS": "1"}
        parts = EngineParts(
            self.sender, self.dead, FakeFlow(), self.clock, draw=lambda: 1.0, holds=self.holds
        )
        self.engine = Engine(destination(), load_settings(env=env).delivery, parts)
        self.engine.assign(PARTITION, 0, "")

    def accept(self, offset: int, lane: str = "t", *, redriven: bool = False) -> None:
        plain = record(offset, lane)
        headers = [*plain.headers, REDRIVEN] if redriven else plain.headers[1:]
        self.engine.accept(record(offset, lane, headers=headers))

    @property
    def sent(self) -> list[str]:
        return [body.decode() for body in self.sender.sent]

    @property
    def given_up(self) -> list[tuple[int, DeadLetterReason]]:
        return [(original.offset, letter.reason) for letter, original in self.dead.letters]


def refusing(*bad: str) -> Callable[[bytes, int], Reply]:
    return lambda body, _n: status(422) if body.decode() in bad else OK


async def test_nothing_is_delivered_before_the_holds_are_known() -> None:
    world = World(holds=FakeHolds(is_current=False))
    world.accept(0)
    await world.clock.advance(600)
    assert world.sent == []
    world.holds.is_current = True
    for listener in world.holds.listeners:
        listener()
    await settle()
    assert world.sent == ["e0"]


async def test_who_does_not_hold_transactions_asks_nobody() -> None:
    world = World(holds=FakeHolds(is_current=False), on_dead_letter="continue")
    world.accept(0)
    await settle()
    assert world.sent == ["e0"]
    assert world.holds.listeners == []


async def test_a_transaction_that_another_worker_gave_up_is_held_here() -> None:
    world = World()
    world.holds.index.apply(world.holds.letter("earlier"))
    world.accept(0)
    world.accept(1, "other")
    await settle()
    assert world.sent == ["e1"]
    assert world.given_up == [(0, DeadLetterReason.HELD)]


async def test_a_redriven_event_passes_and_its_note_ends_the_hold() -> None:
    world = World()
    world.sender.script = refusing("e0")
    world.accept(0)
    await settle()
    world.holds.index.apply(world.holds.letter("e0"))
    world.accept(1, redriven=True)
    await settle()
    assert world.sent == ["e0", "e1"]
    world.holds.unread.append(world.holds.note("e0", 1))
    world.accept(2)
    await settle()
    assert world.sent == ["e0", "e1", "e2"], "the note was there when the hold was looked at again"


async def test_what_follows_a_redriven_event_that_fails_again_is_held() -> None:
    world = World()
    world.sender.script = refusing("e0")
    world.accept(0, redriven=True)
    world.accept(1, redriven=True)
    world.accept(2)
    await settle()
    assert world.sent == ["e0"]
    assert [offset for offset, _ in world.given_up] == [0, 1, 2]


async def test_a_dead_letter_that_is_not_written_yet_holds_its_transaction() -> None:
    """No attempt is made meanwhile, on it or behind it."""
    world = World()
    world.sender.script = lambda _body, _n: status(422)
    world.dead.failures_left = 3
    world.accept(0)
    world.accept(1)
    await world.clock.advance(600)
    assert world.sent == ["e0"]
    assert [offset for offset, _ in world.given_up] == [0, 1]


async def test_what_no_redrive_can_send_holds_its_transaction_no_longer() -> None:
    """A letter too large for its topic is in the invalid topic, so nothing would ever end the hold."""
    world = World(dead=FakeDeadLetters(can_be_redriven=False))
    world.sender.script = refusing("e0")
    for offset in range(3):
        world.accept(offset)
    await settle()

    assert world.given_up == [(0, DeadLetterReason.REJECTED)]
    assert world.sent == ["e0", "e1", "e2"]
