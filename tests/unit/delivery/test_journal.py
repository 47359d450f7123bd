"""What router and engine tell the journal, seen as the timeline that comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.journal_writer import JournalWriter
from eventproc.journal_entries import Invalid, Routed, Skipped
from eventproc.timeline import DestinationTimeline, Reading, State, Timeline, fold
from settings import load_settings
from tests.fakes.attempts_topic import FakeAttemptsTopic
from tests.fakes.clock import settle
from tests.fakes.records import destination, record
from tests.fakes.sender import OK, REFUSED, status
from tests.unit.delivery import test_engine, test_router

WALL = 1_795_500_000.0


class World(test_engine.World):
    """An engine that keeps a journal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.topic = FakeAttemptsTopic()
        self.journal = JournalWriter(load_settings(env={}), self.topic, self.clock.wall)
        parts = EngineParts(
            self.sender, self.dead, self.flow, self.clock, draw=lambda: 1.0, journal=self.journal
        )
        self.engine = Engine(destination(), self.settings, parts)
        self.engine.assign(test_engine.PARTITION, 0, "")

    async def timeline(self, lane: str = "t") -> Timeline:
        await self.journal.on_stop()
        return fold(lane, self.topic.entries(lane), self.clock.wall(), Reading(0.0))

    async def only(self, lane: str = "t") -> DestinationTimeline:
        ((one,),) = [event.destinations for event in (await self.timeline(lane)).events]
        return one


async def test_a_delivery_is_one_attempt() -> None:
    world = World()
    world.accept(0, "t")
    await settle()
    one = await world.only()
    assert (one.destination, one.state) == ("test", State.DELIVERED)
    (attempt,) = one.attempts
    assert (attempt.event_id, attempt.number, attempt.status, attempt.at) == ("e0", 1, 200, WALL)
    assert attempt.source == ("TRANSACTION", 0, 0, 1_795_500_000_000)


@pytest.mark.parametrize("refusal", [status(500), status(422), REFUSED])
async def test_the_next_try_is_when_it_happens(refusal: Any) -> None:
    world = World()
    answers = [refusal, refusal, OK]
    world.sender.script = lambda _body, _n: answers.pop(0)
    world.accept(0, "t")
    await settle()
    assert (await world.only()).state is State.WAITING
    await world.clock.advance(10)
    one = await world.only()
    assert [attempt.number for attempt in one.attempts] == [1, 2, 3]
    first, second, third = one.attempts
    assert (first.next_try_at, second.next_try_at, third.next_try_at) == (second.at, third.at, None)


async def test_an_event_that_is_given_up_is_dead_lettered_after_its_last_attempt() -> None:
    world = World(test_engine.delivery(retry_poison_attempts="2"))
    world.sender.script = lambda _body, _n: status(422)
    world.accept(0, "t")
    await world.clock.advance(10)
    one = await world.only()
    assert (one.state, len(one.attempts), one.next_try_at) == (State.DEAD_LETTERED, 2, None)
    assert one.dead_letter is not None
    assert (one.dead_letter.reason, one.dead_letter.attempts, one.dead_letter.status) == ("rejected", 2, 422)


async def test_a_dead_letter_that_cannot_be_written_is_waited_for() -> None:
    world = World(test_engine.delivery(retry_poison_attempts="1"))
    world.dead.failures_left = 1
    world.sender.script = lambda _body, _n: status(422)
    world.accept(0, "t")
    await settle()
    one = await world.only()
    assert (one.state, one.next_try_at) == (State.UNDER_WAY, None), (
        "its dead letter waits, and no attempt comes"
    )


async def test_what_is_skipped_as_stale_says_so() -> None:
    world = World(test_engine.delivery(order="skip_stale"))
    world.accept(0, "t", updated_at="2026-11-24T10:00:00Z")
    await settle()
    world.accept(1, "t", updated_at="2026-11-24T09:00:00Z")
    await settle()
    states = [one.state for event in (await world.timeline()).events for one in event.destinations]
    assert states == [State.DELIVERED, State.SKIPPED]


async def test_a_replayed_copy_changes_nothing_and_is_noted() -> None:
    world = World()
    world.accept(0, "t")
    await settle()
    world.engine.accept(record(1, "t", headers=record(0, "t").headers))
    await settle()
    assert (await world.only()).state is State.DELIVERED
    assert [entry.why for entry in world.topic.entries("t") if isinstance(entry, Skipped)] == ["replay"]


async def test_a_redriven_event_s_attempts_say_so() -> None:
    world = World()
    at = "2026-11-24T10:00:00Z"
    world.engine.accept(record(0, "t", headers=[*record(0, "t").headers, ("redriven", at.encode())]))
    await settle()
    (attempt,) = (await world.only()).attempts
    assert attempt.redriven == at


class RouterWorld(test_router.World):
    def __init__(self) -> None:
        super().__init__()
        self.topic = FakeAttemptsTopic()
        self.journal = JournalWriter(load_settings(env={}), self.topic, lambda: WALL)
        self.router._journal = self.journal

    async def entries(self, lane: str) -> list[Any]:
        await self.journal.on_stop()
        return self.topic.entries(lane)


async def test_the_router_notes_where_an_event_goes_and_why() -> None:
    async with RouterWorld() as world:
        world.accept(7, test_router.event(1))
        await settle()
        (entry,) = await world.entries("t1")
        assert isinstance(entry, Routed)
        assert entry._replace(worker="") == Routed(
            "t1",
            "e1",
            entry.source,
            WALL,
            "transaction_created",
            "24",
            "name",
            ("callback-api", "client.w.sep24"),
            (),
            None,
        )
        assert entry.source == ("TRANSACTION", 0, 7, 1_795_500_000_123)


async def test_the_router_notes_a_client_whose_copy_it_sets_aside() -> None:
    async with RouterWorld() as world:
        world.accept(0, test_router.event(1, sep="38"))
        await settle()
        (entry,) = await world.entries("t1")
        assert (entry.destinations, entry.unbuildable) == (("callback-api",), ("w",))


async def test_a_record_that_is_no_event_is_found_by_its_key() -> None:
    async with RouterWorld() as world:
        world.accept(0, b"{}")
        world.router.accept(InboundRecord(test_router.SOURCE, 1, None, b"{}", [], 0))
        await settle()
        (entry,) = await world.entries("key")
        assert isinstance(entry, Invalid)
        assert (entry.event_id, entry.reason) == ("key", "no-id")
