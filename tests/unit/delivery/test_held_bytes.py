"""The bound in bytes that all destinations of a worker share."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from eventproc.delivery.backlog import Backlog
from eventproc.delivery.engine import BODY_COPIES, Engine, EngineParts
from eventproc.delivery.held_bytes import EVENT_BYTES, HeldBytes
from eventproc.delivery.partitions import AssignedPartitions
from settings import load_settings
from tests.fakes.clock import FakeClock, settle
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import TOPIC, destination, record
from tests.fakes.sender import OK, REFUSED, FakeSender

MAX_BYTES = 1_000_000
PARTITION = (TOPIC, 0)


class Destination:
    """A backlog, filled from a topic that never ends for as long as the tap is open."""

    def __init__(self, memory: HeldBytes, number: int) -> None:
        self.flow = FakeFlow()
        self.partition = (f"t{number}", 0)
        partitions = AssignedPartitions()
        partitions.assign(self.partition, 0, "")
        self.backlog = Backlog(self.flow, partitions, 10**9, memory)
        self.events: list[int] = []

    @property
    def is_open(self) -> bool:
        return not self.flow.paused

    def arrive(self, value_bytes: int) -> None:
        self.events.append(value_bytes)
        self.backlog.add(value_bytes)

    def deliver(self) -> None:
        self.backlog.remove(self.events.pop())


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(["arrive", "deliver", "drop"]), st.integers(0, 400_000)),
        max_size=200,
    )
)
def test_the_bound_is_passed_by_one_event_each_at_most_and_all_flows_again_in_the_end(
    steps: list[tuple[int, str, int]],
) -> None:
    memory = HeldBytes(MAX_BYTES)
    destinations = [Destination(memory, number) for number in range(10)]
    for number, what, value_bytes in steps:
        one = destinations[number]
        if what == "arrive" and one.is_open:
            others_hold = sum(other.backlog.records > 1 for other in destinations)
            one.arrive(value_bytes)
            if memory.held_bytes > MAX_BYTES + 10 * (400_000 + EVENT_BYTES):
                raise AssertionError(f"{others_hold} hold more than one")
        elif what == "deliver" and one.events:
            one.deliver()
        elif what == "drop":
            one.backlog.open()
            one.backlog.drop_all()
            one.events.clear()
        assert memory.held_bytes == sum(sum(d.events) + EVENT_BYTES * len(d.events) for d in destinations)
        assert all(d.is_open for d in destinations if not d.events), "one that holds nothing is not held back"
    for one in destinations:
        while one.events:
            one.deliver()
    assert all(one.is_open for one in destinations)
    assert memory.held_bytes == memory.held_back == 0


def test_destinations_that_are_down_share_evenly_and_leave_room_for_the_next() -> None:
    memory = HeldBytes(MAX_BYTES)
    down = [Destination(memory, number) for number in range(9)]
    for _ in range(1000):
        for one in down:
            if one.is_open:
                one.arrive(1000)
    shares = [one.backlog.records for one in down]
    assert max(shares) <= min(shares) + 1
    assert sum(shares) * (1000 + EVENT_BYTES) > 0.85 * MAX_BYTES
    healthy = Destination(memory, 9)
    for _ in range(10):
        healthy.arrive(1000)
        assert healthy.is_open
        healthy.deliver()


def test_one_alone_may_have_half() -> None:
    memory = HeldBytes(MAX_BYTES)
    one = Destination(memory, 0)
    while one.is_open:
        one.arrive(1000)
    assert 0.45 * MAX_BYTES < memory.held_bytes < 0.55 * MAX_BYTES


def test_one_that_was_held_back_goes_on_when_others_have_delivered() -> None:
    memory = HeldBytes(MAX_BYTES)
    first, second = Destination(memory, 0), Destination(memory, 1)
    while first.is_open:
        first.arrive(1000)
    while second.is_open:
        second.arrive(1000)
    while first.events:
        first.deliver()
    assert second.is_open


def test_holding_back_is_reported_once_in_a_while() -> None:
    now = [0.0]
    memory = HeldBytes(MAX_BYTES, monotonic=lambda: now[0])
    with capture_logs() as logs:
        for number in range(20):
            one = Destination(memory, number)
            while one.is_open:
                one.arrive(10_000)
        now[0] = 11.0
        one.deliver()
        one.backlog.open()
        one.arrive(10_000)
    assert [entry["event"] for entry in logs] == ["memory.held_back"] * 2
    assert logs[0]["max_bytes"] == MAX_BYTES


async def test_bodies_in_flight_count_and_without_room_one_request_is_in_flight_at_a_time() -> None:
    memory, sender = HeldBytes(20_000), FakeSender()
    env = {"DELIVERY_MAX_IN_FLIGHT": "64"}
    parts = EngineParts(sender, FakeDeadLetters(), FakeFlow(), FakeClock(), memory=memory)
    engine = Engine(destination(), load_settings(env=env).delivery, parts)
    engine.assign(PARTITION, 0, "")
    sender.hold = asyncio.Event()
    for offset in range(5):
        engine.accept(record(offset, f"t{offset}"))
    await settle()
    waiting = sum(len(record(offset, f"t{offset}").value or b"") + EVENT_BYTES for offset in range(5))
    assert memory.held_bytes == waiting + BODY_COPIES * sum(map(len, sender.sent))
    memory.add(20_000)
    for offset in range(5, 8):
        engine.accept(record(offset, f"t{offset}"))
    await settle()
    assert sender.in_flight == 5, "no more begin"
    sender.hold.set()
    await settle()
    await settle()
    assert len(sender.sent) == 8
    assert sender.max_in_flight == 5
    assert memory.held_bytes == 20_000


async def test_with_all_others_down_and_no_room_left_a_destination_is_served() -> None:
    memory = HeldBytes(100_000)
    down = [served(memory, FakeSender(script=lambda _body, _n: REFUSED)) for _ in range(20)]
    for engine, flow, _ in down:
        for offset in range(10):
            if not flow.paused:
                engine.accept(record(offset, f"t{offset}", text="x" * 10_000))
        await settle()
    assert memory.free_bytes < 0
    engine, flow, sender = served(memory, FakeSender(script=lambda _body, _n: OK))
    for offset in range(10):
        assert not flow.paused
        engine.accept(record(offset, f"t{offset}", text="x" * 10_000))
        await settle()
    assert engine.stats.deliveries == len(sender.sent) == 10


def served(memory: HeldBytes, sender: FakeSender) -> tuple[Engine, FakeFlow, FakeSender]:
    flow = FakeFlow()
    parts = EngineParts(sender, FakeDeadLetters(), flow, FakeClock(), memory=memory)
    engine = Engine(destination(), load_settings(env={}).delivery, parts)
    engine.assign(PARTITION, 0, "")
    return engine, flow, sender
