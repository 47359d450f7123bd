"""A destination that has never accepted an event: what it rejects waits, within a bound, and blocks nothing."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from eventproc.acceptance import Mark, Standing, accepted_record
from eventproc.breaker import BreakerState
from eventproc.dead_letters import DeadLetterReason
from eventproc.delivery.acceptances import RETRY_SECONDS, Acceptances
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.destinations import Endpoint
from settings import load_settings
from tests.fakes.acceptances import FakeAcceptances
from tests.fakes.clock import settle
from tests.fakes.records import destination
from tests.fakes.sender import OK, REFUSED, status
from tests.unit.delivery import test_engine
from tests.unit.delivery.test_engine import PARTITION, failing


class World(test_engine.World):
    """With a topic of acceptances, which another world may share."""

    def __init__(self, acceptances: FakeAcceptances | None = None, **changes: str) -> None:
        self.acceptances = acceptances or FakeAcceptances()
        super().__init__(settings=test_engine.delivery(**changes))

    def __post_init__(self) -> None:
        parts = EngineParts(
            self.sender, self.dead, self.flow, self.clock, lambda: 1.0, acceptances=self.acceptances
        )
        self.engine = Engine(destination(), self.settings, parts)
        self.engine.assign(PARTITION, 0, "")

    def change_url(self) -> None:
        changed = dataclasses.replace(destination(), endpoint=Endpoint("https://other.test/"))
        self.engine.reconfigure(changed, self.settings, self.sender)


async def test_what_a_new_destination_rejects_waits_and_its_breaker_opens() -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(400)
    with structlog.testing.capture_logs() as logs:
        for offset in range(10):
            world.accept(offset, f"t{offset}")
        await world.clock.advance(23 * 3600)
    assert world.dead.letters == []
    assert world.watermark == 0
    assert world.engine.breaker.state is not BreakerState.CLOSED
    assert len(world.sender.sent) < 23 * 60 * 1.2, "a probe a minute, whatever waits"
    assert set(world.sent) == {f"e{offset}" for offset in range(10)}, "each transaction is probed"
    opened = next(entry for entry in logs if entry["event"] == "breaker.opened")
    assert (opened["reason"], opened["status"]) == ("rejected", 400)
    assert "URL, key or certificate" in opened["hint"]
    world.sender.script = lambda _body, _n: OK
    await world.clock.advance(400)
    assert world.watermark == 10
    assert world.engine.standing is Standing.PROVEN


async def test_after_the_bound_they_are_dead_lettered_with_that_reason() -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(400)
    for offset in range(3):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(24 * 3600 + 10 * 400)
    assert [letter.reason for letter, _ in world.dead.letters] == [DeadLetterReason.REJECTED] * 3
    assert "accepted no event" in world.dead.letters[0][0].detail
    assert world.watermark == 3


async def test_one_bad_event_before_any_good_one_blocks_no_other_and_is_given_up_once_others_pass() -> None:
    world = World()
    world.sender.script = failing("e0", reply=status(422))
    world.accept(0, "bad")
    await world.clock.advance(60)
    world.accept(1, "good")
    await settle()
    assert world.engine.stats.deliveries == 1
    await world.clock.advance(10 * 400)
    (letter, _), *others = world.dead.letters
    assert (letter.status, others) == (422, [])
    assert "accepted no event" not in letter.detail


async def test_it_holds_over_a_restart_and_on_other_workers() -> None:
    first = World()
    first.accept(0, "t")
    await settle()
    assert len(first.acceptances.written) == 1
    later = World(first.acceptances)
    later.sender.script = lambda _body, _n: status(400)
    later.accept(0, "t")
    await later.clock.advance(10 * 400)
    assert len(later.dead.letters) == 1, "proven by the record alone"


async def test_restarts_do_not_extend_the_bound() -> None:
    world = World()
    for _ in range(3):
        world = World(world.acceptances)
        world.sender.script = lambda _body, _n: status(400)
        world.clock._wall += 12 * 3600 * (len(world.acceptances.written) and 1)
        world.accept(0, "t")
        await world.clock.advance(3600)
        assert world.dead.letters == []
    assert len(world.acceptances.written) == 1, "the first rejection counts"
    world = World(world.acceptances)
    world.sender.script = lambda _body, _n: status(400)
    world.clock._wall += 24 * 3600
    world.accept(0, "t")
    await world.clock.advance(10 * 400)
    assert len(world.dead.letters) == 1


async def test_a_change_of_the_url_asks_for_proof_again() -> None:
    world = World()
    world.accept(0, "a")
    await settle()
    world.sender.script = lambda _body, _n: status(400)
    world.change_url()
    assert world.engine.standing is Standing.UNPROVEN
    for offset in (1, 2):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(10 * 400)
    assert world.dead.letters == []


async def test_what_the_old_url_accepted_does_not_make_an_outage_of_the_new_one_the_events_fault() -> None:
    world = World(retry_poison_attempts="2")
    world.sender.script = failing("bad", "e0", reply=REFUSED)
    world.accept(0, "a")
    await settle()
    world.accept(1, "b")
    await settle()
    world.sender.script = lambda _body, _n: REFUSED
    world.change_url()
    await world.clock.advance(800)
    assert world.dead.letters == []


async def test_an_acceptance_elsewhere_ends_it() -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(400)
    world.accept(0, "t")
    await world.clock.advance(4 * 3600)
    assert world.dead.letters == []
    fingerprint = world.acceptances.book.rejecting[destination().id].fingerprint
    world.acceptances.accepted(destination().id, Mark(fingerprint, 0))
    await world.clock.advance(11 * 400)
    assert len(world.dead.letters) == 1


async def test_zero_hours_switch_it_off() -> None:
    world = World(retry_unproven_max_hours="0")
    world.sender.script = lambda _body, _n: status(400)
    world.accept(0, "t")
    await world.clock.advance(10 * 400)
    assert len(world.dead.letters) == 1


class Topic:
    """A producer whose topic refuses as long as ``problem`` is set."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, Any]] = []
        self.problem: KafkaError | None = None

    async def send_and_wait(self, topic: str, key: Any, value: Any, headers: Any) -> None:
        assert topic == "eventproc.acceptances"
        if self.problem is not None:
            raise self.problem
        self.records.append((key, value))


async def test_nothing_is_written_before_the_topic_is_read_and_a_refusal_is_tried_again() -> None:
    topic, now = Topic(), 0.0
    acceptances = Acceptances(load_settings(env={}), topic, lambda: now)
    id_, mark = destination().id, Mark("x", 1.0)
    acceptances.rejected(id_, mark)
    acceptances.accepted(id_, mark)
    await settle()
    assert topic.records == [], "it may be recorded already"
    topic.problem = KafkaError()
    acceptances._done(1)
    await settle()
    topic.problem = None
    acceptances.accepted(id_, mark)
    await settle()
    assert topic.records == [], "not with every delivery"
    now += RETRY_SECONDS
    acceptances.accepted(id_, mark)
    await settle()
    assert topic.records == [accepted_record(id_, mark)]
    acceptances._apply(SimpleNamespace(key=topic.records[0][0], value=topic.records[0][1]))
    now += RETRY_SECONDS
    acceptances.accepted(id_, mark)
    await settle()
    assert len(topic.records) == 1
    acceptances._deleted()
    acceptances.accepted(id_, mark)
    acceptances._done(2)
    await settle()
    assert len(topic.records) == 2, "a topic that was deleted gets it again"
