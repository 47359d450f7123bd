"""One destination's engine, against a scripted receiver and a clock turned by hand."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventproc.auth import ApiKeyAuth
from eventproc.breaker import BreakerState
from eventproc.dead_letters import DeadLetterReason
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.inbound import InboundRecord
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from settings.delivery import DeliverySettings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, event_value, record
from tests.fakes.sender import OK, REFUSED, FakeSender, Reply, status

PARTITION = (TOPIC, 0)


def delivery(**changes: str) -> DeliverySettings:
    env = {f"DELIVERY_{key.upper()}": value for key, value in changes.items()}
    return load_settings(env=env).delivery


@dataclass
class World:
    settings: DeliverySettings = field(default_factory=delivery)
    sender: FakeSender = field(default_factory=FakeSender)
    clock: FakeClock = field(default_factory=FakeClock)
    dead: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    flow: FakeFlow = field(default_factory=FakeFlow)

    def __post_init__(self) -> None:
        parts = EngineParts(self.sender, self.dead, self.flow, self.clock, draw=lambda: 1.0)
        self.engine = Engine(destination(), self.settings, parts)
        self.engine.assign(PARTITION, 0, "")

    def accept(self, offset: int, lane: str, **members: Any) -> None:
        self.engine.accept(record(offset, lane, **members))

    @property
    def sent(self) -> list[str]:
        return [body.decode() for body in self.sender.sent]

    def breaker_is_closed(self) -> bool:
        return self.engine.breaker.state is BreakerState.CLOSED

    @property
    def watermark(self) -> int | None:
        return self.engine.partitions[PARTITION].watermark


def failing(*bad: str, reply: Reply) -> Any:
    return lambda body, _n: reply if body.decode() in bad else OK


async def test_events_are_delivered_and_the_watermark_moves() -> None:
    world = World()
    for offset in range(3):
        world.accept(offset, f"t{offset}")
    await settle()
    assert world.sent == ["e0", "e1", "e2"]
    assert world.watermark == 3
    assert world.engine.stats.deliveries == 3
    assert world.engine.waiting == world.engine.in_flight == 0


async def test_every_request_names_its_event() -> None:
    world = World()
    world.accept(0, "t")
    await settle()
    assert world.sender.headers[0]["X-Event-Id"] == "e0"
    assert world.sender.headers[0]["Content-Type"].startswith("application/json")
    assert "X-Event-Redriven" not in world.sender.headers[0]


@pytest.mark.parametrize(
    ("event_id", "header"), [("a b", "a b"), ("é\r\nX: 1", "%C3%A9%0D%0AX: 1"), ("é%", "%C3%A9%25")]
)
async def test_no_event_id_can_break_out_of_its_header(event_id: str, header: str) -> None:
    world = World()
    world.engine.accept(InboundRecord(PARTITION, 0, b"t", event_value(event_id, "t"), [], 0))
    await settle()
    assert world.sender.headers[0]["X-Event-Id"] == header


async def test_a_redriven_event_says_so_and_is_not_taken_for_a_replay() -> None:
    world = World()
    world.accept(0, "t")
    await settle()
    again = record(1, "t", headers=[*record(0, "t").headers, ("redriven", b"2026-11-24T10:00:00Z")])
    world.engine.accept(again)
    await settle()
    assert len(world.sent) == 2
    assert world.sender.headers[1]["X-Event-Redriven"] == "2026-11-24T10:00:00Z"


async def test_a_routers_copy_is_not_sent_twice() -> None:
    world = World()
    world.accept(0, "t")
    world.engine.accept(record(1, "t", headers=record(0, "t").headers))
    await settle()
    assert world.sent == ["e0"]
    assert world.watermark == 2
    assert world.engine.stats.replays_skipped == 1


async def test_one_lane_keeps_its_order_over_retries_and_holds_no_other() -> None:
    answers = {"e0": [status(500), status(500), OK]}
    world = World()
    world.sender.script = lambda body, _n: (answers.get(body.decode()) or [OK]).pop(0)
    world.accept(0, "a")
    world.accept(1, "a")
    world.accept(2, "b")
    await settle()
    assert world.sent == ["e0", "e2"]
    await world.clock.advance(10)
    assert world.sent == ["e0", "e2", "e0", "e0", "e1"]
    assert world.watermark == 3


async def test_a_stuck_head_holds_the_watermark_while_others_go_on() -> None:
    world = World()
    world.sender.script = failing("e0", reply=REFUSED)
    for offset in range(50):
        world.accept(offset, f"t{offset}")
    await settle()
    assert world.engine.stats.deliveries == 49
    assert world.watermark == 0
    point = world.engine.commit_points()[PARTITION]
    later = World()
    later.engine = Engine(
        destination(), later.settings, EngineParts(later.sender, later.dead, later.flow, later.clock)
    )
    later.engine.assign(PARTITION, point.offset, point.metadata)
    for offset in range(50):
        later.accept(offset, f"t{offset}")
    await settle()
    assert later.sent == ["e0"], "after a crash only what was not done comes again"


async def test_never_more_than_max_in_flight() -> None:
    world = World(settings=delivery(max_in_flight="4"))
    world.sender.hold = asyncio.Event()
    for offset in range(20):
        world.accept(offset, f"t{offset}")
    await settle()
    assert world.engine.in_flight == world.sender.in_flight == 4
    world.sender.hold.set()
    await settle()
    await settle()
    assert world.sender.max_in_flight == 4
    assert world.engine.stats.deliveries == 20


async def test_too_much_waiting_pauses_the_partitions_and_less_resumes_them() -> None:
    world = World(settings=delivery(max_in_flight="2", max_waiting="10"))
    world.sender.hold = asyncio.Event()
    for offset in range(11):
        world.accept(offset, f"t{offset}")
    assert world.flow.paused == {PARTITION}
    world.accept(11, "late one, fetched before the pause")
    world.sender.hold.set()
    for _ in range(5):
        await settle()
    assert world.flow.paused == set()
    assert world.engine.stats.deliveries == 12


async def test_an_outage_opens_the_breaker_and_nothing_is_dead_lettered() -> None:
    world = World()
    world.sender.script = lambda _body, _n: REFUSED
    for offset in range(200):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(3600)
    assert not world.breaker_is_closed()
    assert world.dead.letters == []
    assert len(world.sent) < 64 + 100, "an endpoint that is down is asked by few probes"
    world.sender.script = lambda _body, _n: OK
    await world.clock.advance(120)
    assert world.engine.stats.deliveries == 200
    assert world.breaker_is_closed()
    assert world.watermark == 200


async def test_the_first_moment_after_a_recovery_is_gentle() -> None:
    world = World()
    world.sender.script = lambda _body, _n: REFUSED
    for offset in range(200):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(600)
    world.sender.script = lambda _body, _n: OK
    world.sender.max_in_flight = 0
    seen: list[int] = []
    original = world.sender.send

    async def counting(headers: dict[str, str], body: bytes) -> Reply:
        seen.append(world.sender.in_flight + 1)
        return await original(headers, body)

    world.sender.send = counting  # type: ignore[method-assign]
    await world.clock.advance(120)
    assert all(number <= 2**step for step, number in enumerate(seen[:7]))
    assert max(seen) <= 64


async def test_one_event_alone_in_an_outage_waits_and_is_not_dead_lettered() -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(503)
    world.accept(0, "t")
    await world.clock.advance(24 * 3600)
    assert world.dead.letters == []
    assert world.engine.waiting == 1


@pytest.mark.parametrize("kind", [FailureKind.CONNECT, FailureKind.TLS, FailureKind.DNS, FailureKind.TIMEOUT])
async def test_an_event_that_was_never_sent_is_not_poison_however_many_others_pass(kind: FailureKind) -> None:
    """A server that shuts down refuses new connections, and still answers on those that it has."""
    world = World(delivery(retry_poison_attempts="3"))
    unsent = NoResponse(kind, "no connection", was_sent=False)
    world.sender.script = failing("e0", reply=unsent)
    world.accept(0, "unlucky")
    for offset in range(1, 200):
        world.accept(offset, f"t{offset}")
        await world.clock.advance(5)

    assert world.sent.count("e0") > 3
    assert world.dead.letters == []
    world.sender.script = failing(reply=unsent)
    await world.clock.advance(600)
    assert world.watermark == 200


async def test_a_poison_event_alone_is_dead_lettered_while_others_pass() -> None:
    world = World()
    world.sender.script = failing("e5", reply=status(500))
    for offset in range(1000):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(600)
    ((letter, original),) = world.dead.letters
    assert original.offset == 5
    assert letter.reason is DeadLetterReason.FAILED_WHILE_OTHERS_PASS
    assert letter.attempts == 10
    assert letter.status == 500
    assert letter.excerpt == b"body of 500"
    assert world.engine.stats.deliveries == 999
    assert world.watermark == 1000


@pytest.mark.parametrize("code", [400, 410, 413, 422])
async def test_an_event_the_endpoint_does_not_want_needs_no_other_evidence(code: int) -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(code)
    world.accept(0, "t")
    await world.clock.advance(3000)
    ((letter, _),) = world.dead.letters
    assert letter.reason is DeadLetterReason.REJECTED
    assert letter.attempts == 10


async def test_its_siblings_go_on_after_a_dead_letter() -> None:
    world = World()
    world.sender.script = failing("e0", reply=status(422))
    world.accept(0, "t")
    world.accept(1, "t")
    await world.clock.advance(3000)
    assert world.sent[-1] == "e1"
    assert len(world.dead.letters) == 1


async def test_its_siblings_are_held_when_told_so() -> None:
    world = World(settings=delivery(on_dead_letter="hold_transaction"))
    world.sender.script = failing("e0", reply=status(422))
    world.accept(0, "t")
    world.accept(1, "t")
    world.accept(2, "other")
    await world.clock.advance(3000)
    assert "e1" not in world.sent
    assert "e2" in world.sent
    assert [letter.reason for letter, _ in world.dead.letters] == [
        DeadLetterReason.REJECTED,
        DeadLetterReason.HELD,
    ]


async def test_a_dead_letter_counts_only_when_its_topic_has_acknowledged() -> None:
    """Knative's dispatcher commits even when the dead letter failed; here the event waits."""
    world = World()
    world.dead.failures_left = 3
    world.engine.accept(InboundRecord(PARTITION, 0, b"t", b"not json", [("event-id", b"e0")], 0))
    await settle()
    assert world.watermark == 0
    await world.clock.advance(100)
    assert len(world.dead.letters) == 1
    assert world.watermark == 1


async def test_dead_letters_that_cannot_be_written_occupy_no_slot_and_get_no_attempts() -> None:
    """160 of them, at 64 slots, stopped their destination for good."""
    world = World(delivery(retry_poison_attempts="1"))
    poison = {f"e{offset}" for offset in range(160)}
    world.sender.script = failing(*poison, reply=status(422))
    world.dead.failures_left = 1_000_000
    for offset in range(180):
        world.accept(offset, f"t{offset}")
    world.accept(180, "t0")
    await world.clock.advance(1000)
    assert sorted(world.sent) == sorted(f"e{offset}" for offset in range(180)), (
        "each once, and none behind e0"
    )
    assert (world.engine.dead_letters_unwritten, world.engine.in_flight) == (160, 0)
    assert world.engine.waits_only_for_retries, "the watchdog knows what it waits for"
    world.dead.failures_left = 0
    await world.clock.advance(60)
    assert len(world.dead.letters) == 160
    assert world.sent[-1] == "e180"
    assert world.watermark == 181


async def test_a_stop_does_not_wait_for_dead_letters_that_have_waited_for_long() -> None:
    world = World()
    world.dead.failures_left = 10_000
    world.engine.accept(InboundRecord(PARTITION, 0, b"t", b"not json", [("event-id", b"e0")], 0))
    await world.clock.advance(100)
    await asyncio.wait_for(world.engine.drain(3600), 10)
    assert world.engine.dead_letters_unwritten == 0
    assert world.watermark == 0, "it is still to be done"


async def test_a_half_open_breaker_does_not_hammer_a_dead_letter_topic_that_is_away() -> None:
    world = World()
    world.sender.script = lambda _body, _n: REFUSED
    for offset in range(10):
        world.accept(offset, f"t{offset}")
    await settle()
    world.dead.failures_left = 10_000
    world.engine.accept(InboundRecord(PARTITION, 10, b"x", b"not json", [("event-id", b"e10")], 0))
    await world.clock.advance(100)
    assert world.dead.failures_left > 9_900


async def test_what_cannot_be_built_is_dead_lettered_without_a_request() -> None:
    world = World()
    world.engine.accept(InboundRecord(PARTITION, 0, b"t", b"not json", [("event-id", b"e0")], 0))
    await settle()
    ((letter, _),) = world.dead.letters
    assert letter.reason is DeadLetterReason.CANNOT_BUILD
    assert world.sent == []


async def test_retry_after_is_honoured() -> None:
    world = World()
    answers = [status(429, "100"), OK]
    world.sender.script = lambda _body, _n: answers.pop(0)
    world.accept(0, "t")
    await world.clock.advance(99)
    assert len(world.sent) == 1
    await world.clock.advance(2)
    assert len(world.sent) == 2


async def test_a_late_event_is_counted_and_sent_by_default() -> None:
    world = World()
    world.accept(0, "t", updated_at="2024-03-01T12:00:01.5Z")
    await settle()
    world.accept(1, "t", updated_at="2024-03-01T12:00:01Z")
    await settle()
    assert world.sent == ["e0", "e1"]
    assert world.engine.stats.late == 1


async def test_a_late_event_is_skipped_when_told_so() -> None:
    world = World(settings=delivery(order="skip_stale"))
    world.accept(0, "t", updated_at="2024-03-01T12:00:01.5Z")
    await settle()
    world.accept(1, "t", updated_at="2024-03-01T12:00:01Z")
    world.accept(2, "t", updated_at="2024-03-01T12:00:01.500000001Z")
    await settle()
    assert world.sent == ["e0", "e2"]
    assert world.watermark == 3


async def test_a_drain_lets_what_is_in_flight_finish() -> None:
    world = World()
    world.sender.hold = asyncio.Event()
    world.accept(0, "a")
    world.accept(1, "a")
    await settle()
    draining = asyncio.ensure_future(world.engine.drain(5))
    await settle()
    world.sender.hold.set()
    await draining
    assert world.sent == ["e0"], "nothing new is started"
    assert world.watermark == 1


async def test_a_drain_ends_within_its_bound_when_a_receiver_hangs() -> None:
    world = World()
    world.sender.hold = asyncio.Event()
    world.accept(0, "a")
    await settle()
    await asyncio.wait_for(world.engine.drain(0.01), 2)
    assert world.engine.in_flight == 0
    assert world.watermark == 0, "a request cut short is not done"


async def test_after_a_release_the_same_records_are_taken_anew() -> None:
    world = World()
    world.sender.hold = asyncio.Event()
    world.accept(0, "a")
    await settle()
    await world.engine.drain(0.01)
    world.engine.release()
    world.accept(0, "a")
    assert world.engine.waiting == 0, "a partition that is not ours is left alone"
    world.sender.hold = None
    world.engine.assign(PARTITION, 0, "")
    world.accept(0, "a")
    await settle()
    assert world.watermark == 1


async def give_away_and_get_back(world: World, *accepted: tuple[int, str]) -> None:
    """As a rebalance does: released when it begins, and once more in the group's next generation."""
    watermark = world.watermark
    await world.engine.drain(0.01)
    world.engine.release()
    world.engine.release()
    world.engine.assign(PARTITION, watermark, "")
    for offset, lane in accepted:
        world.accept(offset, lane)
    await settle()


async def test_a_rebalance_does_not_cut_retry_after_short() -> None:
    world = World()
    answers = [status(429, "100"), OK, OK]
    world.sender.script = lambda _body, _n: answers.pop(0)
    world.accept(0, "a")
    await world.clock.advance(40)
    await give_away_and_get_back(world, (0, "a"), (1, "a"))
    await world.clock.advance(59)
    assert world.sent == ["e0"]
    await world.clock.advance(2)
    assert world.sent == ["e0", "e0", "e1"]
    assert world.watermark == 2


async def test_attempts_are_counted_over_rebalances() -> None:
    world = World(settings=delivery(retry_poison_attempts="3"))
    world.sender.script = failing("e0", reply=status(422))
    world.accept(0, "a")
    await settle()
    for _ in range(2):
        await give_away_and_get_back(world, (0, "a"))
        await world.clock.advance(10)
    assert [letter.attempts for letter, _ in world.dead.letters] == [3]
    assert world.sent == ["e0"] * 3


async def test_another_event_in_the_same_place_begins_anew() -> None:
    """A topic deleted and made anew."""
    world = World()
    world.sender.script = lambda _body, _n: status(429, "100")
    world.accept(0, "a")
    await settle()
    await world.engine.drain(0.01)
    world.engine.release()
    world.engine.assign(PARTITION, 0, "")
    world.sender.script = lambda _body, _n: OK
    made_anew = record(0, "a")
    world.engine.accept(made_anew._replace(headers=[("event-id", b"other"), *made_anew.headers[1:]]))
    await settle()
    assert world.watermark == 1


async def test_a_bug_in_one_event_stops_nobody() -> None:
    world = World()

    def script(body: bytes, _n: int) -> Response:
        if body == b"e0":
            raise ZeroDivisionError
        return Response(200, None, b"")

    world.sender.script = script
    world.accept(0, "a")
    world.accept(1, "b")
    await settle()
    assert world.engine.stats.deliveries == 1
    assert world.watermark == 0
    assert world.engine.waiting == 1


async def test_an_operators_pause_holds_everything_until_resume() -> None:
    world = World()
    world.engine.pause()
    world.accept(0, "a")
    await settle()
    assert world.sent == []
    world.engine.resume()
    await settle()
    assert world.sent == ["e0"]


async def test_a_rate_limit_bounds_what_goes_out_in_a_second() -> None:
    world = World(settings=delivery(rate_limit_per_second="5"))
    for offset in range(20):
        world.accept(offset, f"t{offset}")
    await settle()
    assert len(world.sent) == 5
    await world.engine.drain(0.01)


async def test_metadata_that_cannot_be_read_is_left_alone() -> None:
    world = World()
    world.engine.assign((TOPIC, 7), 40, "somebody else's text")
    world.engine.accept(record(40, "t", partition=7))
    await settle()
    assert world.sent == ["e40"]


def keyed(key: str) -> Any:
    return dataclasses.replace(destination(), authenticator=ApiKeyAuth(key, "X-Api-Key"))


async def test_what_is_in_flight_ends_with_the_old_key_and_the_next_attempt_has_the_new_one() -> None:
    world = World()
    world.engine.reconfigure(keyed("old"), world.settings, world.sender)
    world.sender.hold = asyncio.Event()
    world.accept(0, "a")
    world.accept(1, "a")
    await settle()
    new = FakeSender()
    assert world.engine.reconfigure(keyed("new"), world.settings, new) is world.sender
    await settle()
    assert new.sent == []
    world.sender.hold.set()
    await settle()
    assert [h["X-Api-Key"] for h in world.sender.headers] == ["old"]
    assert [h["X-Api-Key"] for h in new.headers] == ["new"]
    assert (world.sent, new.sent) == (["e0"], [b"e1"])
    assert world.watermark == 2
    assert not world.sender.closed, "whoever reconfigures closes it, when nothing is in flight"


async def test_a_change_is_tried_at_once_by_what_waits_for_its_time() -> None:
    world = World()
    world.sender.script = lambda _body, _n: status(401, retry_after="600")
    world.accept(0, "a")
    await settle()
    new = FakeSender()
    world.engine.reconfigure(keyed("new"), world.settings, new)
    await settle()
    assert new.sent == [b"e0"]
    assert world.watermark == 1


async def test_a_change_sends_a_probe_through_an_open_breaker_and_no_more() -> None:
    world = World()
    world.sender.script = lambda _body, _n: REFUSED
    for offset in range(20):
        world.accept(offset, f"t{offset}")
    await world.clock.advance(5)
    assert world.engine.breaker.state is BreakerState.OPEN
    new = FakeSender(hold=asyncio.Event())
    world.engine.reconfigure(keyed("new"), world.settings, new)
    await settle()
    assert len(new.sent) == 1
    assert new.hold is not None
    new.hold.set()
    new.hold = None
    await settle()
    assert world.breaker_is_closed()
    assert world.watermark == 20


async def test_limits_change_with_the_settings() -> None:
    world = World(settings=delivery(max_in_flight="2", max_waiting="4"))
    world.sender.hold = asyncio.Event()
    for offset in range(6):
        world.accept(offset, f"t{offset}")
    await settle()
    assert world.flow.paused == {PARTITION}
    assert world.sender.in_flight == 2
    world.engine.reconfigure(destination(), delivery(max_in_flight="4", max_waiting="100"), world.sender)
    await settle()
    assert world.sender.in_flight == 4
    world.sender.hold.set()
    await settle()
    assert world.flow.paused == set()
    assert world.watermark == 6


async def test_a_paused_destination_stays_paused_over_a_change() -> None:
    world = World()
    world.engine.pause()
    world.accept(0, "a")
    new = FakeSender()
    world.engine.reconfigure(keyed("new"), world.settings, new)
    await settle()
    assert new.sent == []
    world.engine.resume()
    await settle()
    assert new.sent == [b"e0"]


async def test_what_is_logged_of_an_event_names_it_and_its_transaction() -> None:
    with capture_logs() as logs:
        down, picky, faulty = World(), World(delivery(retry_poison_attempts="1")), World()
        down.sender.script = lambda _body, _n: REFUSED
        picky.sender.script = lambda _body, _n: status(422)
        faulty.sender.script = lambda _body, n: status(200 // (n - n))
        for world in (down, picky, faulty):
            for offset in range(6):
                world.accept(offset, f"t{offset}")
            await settle()
    named = {log["event"]: (log["event_id"], log["transaction"]) for log in reversed(logs)}
    assert set(named) >= {"breaker.opened", "dead_letter.written", "attempt.crashed"}
    assert all(
        event.removeprefix("e") == transaction.removeprefix("t") for event, transaction in named.values()
    )
    (error, *_) = down.engine.stats.last_errors
    assert (error.event_id, error.transaction, error.count) == ("e5", "t5", 6), "one line, naming the last"
