"""How many requests at once a receiver gets: one where it serves one connection, all where it serves all."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.destinations import Endpoint
from eventproc.http.crowding import FIRST_STEP, Answered, Crowding, is_crowd, is_unserved
from eventproc.http.sender import HttpSender
from eventproc.outcomes import NoResponse, Response
from settings import load_settings
from tests.fakes.sender import FakeSender
from tests.servers.receiver import Receiver
from tests.servers.replies import status
from tests.unit.delivery.test_engine import World, delivery

EVENTS = 120


class KeepsAlive(BaseHTTPRequestHandler):
    """``python -m http.server`` with HTTP/1.1: one thread, which stays with a connection until it is closed."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[Counter[str]] = Counter()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen[body.decode()] += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is there
        """Keep quiet."""


@pytest.fixture
def single_threaded() -> Iterator[HTTPServer]:
    KeepsAlive.seen = Counter()
    with HTTPServer(("127.0.0.1", 0), KeepsAlive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def sender_to(url: str) -> HttpSender:
    return HttpSender(Endpoint(url), load_settings(env={}).delivery)


async def test_a_server_of_one_thread_gets_each_event_once_and_no_time_out(
    single_threaded: HTTPServer,
) -> None:
    sender = sender_to(f"http://127.0.0.1:{single_threaded.server_port}/")
    room = asyncio.Condition()
    busy, limits = 0, set()
    failed: list[NoResponse] = []

    async def deliver(number: int) -> None:
        nonlocal busy
        async with room:
            await room.wait_for(lambda: busy < (sender.limit or 64))
            busy += 1
        result = await sender.send({}, b"%d" % number)
        while not isinstance(result, Response):
            failed.append(result)
            await asyncio.sleep(1)  # as the engine does, later
            result = await sender.send({}, b"%d" % number)
        limits.add(sender.limit)
        async with room:
            busy -= 1
            room.notify_all()

    await asyncio.wait_for(asyncio.gather(*map(deliver, range(EVENTS))), 120)
    await sender.close()
    assert KeepsAlive.seen == Counter({f"{number}": 1 for number in range(EVENTS)})
    late = [one for one in failed if "no answer in time" in one.detail]
    assert len(late) <= EVENTS // 10, (
        "it was 92 of 120; on a quiet machine a few still wait for their time-out"
    )
    assert 1 in limits


async def test_a_receiver_that_serves_all_keeps_all_requests() -> None:
    async with Receiver() as receiver:
        sender = sender_to(receiver.url)
        for _ in range(3):
            results = await asyncio.gather(*(sender.send({}, b"x") for _ in range(64)))
            assert all(isinstance(result, Response) for result in results)
            assert sender.limit is None
        await sender.close()


async def test_a_receiver_that_is_slow_for_all_keeps_all_requests() -> None:
    async with Receiver(respond=lambda _record, _number: status(200, delay_seconds=1.5)) as receiver:
        sender = sender_to(receiver.url)
        await asyncio.gather(*(sender.send({}, b"x") for _ in range(64)))
        await asyncio.gather(*(sender.send({}, b"x") for _ in range(80)))
        assert sender.limit is None
        await sender.close()


@pytest.mark.parametrize(("limit", "most"), [(None, 64), (1, 1), (7, 7), (1000, 64)])
async def test_the_engine_sends_no_more_than_the_receiver_serves(limit: int | None, most: int) -> None:
    world = World(settings=delivery(), sender=FakeSender(limit=limit))
    for offset in range(200):
        world.accept(offset, f"t{offset}")
    for _ in range(20):
        await world.clock.advance(1)
    assert (world.sender.max_in_flight, world.engine.stats.deliveries) == (most, 200)
    assert world.engine.in_flight_limit == most


async def test_a_bound_that_rises_is_used_by_what_waits_already() -> None:
    world = World(sender=FakeSender(limit=1))

    def rise(_body: bytes, number: int) -> Response:
        world.sender.limit = 1 if number < 5 else 8
        return Response(200, None, b"")

    world.sender.script = rise
    for offset in range(40):
        world.accept(offset, f"t{offset}")
    for _ in range(5):
        await world.clock.advance(1)
    assert world.sender.max_in_flight == 8


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_only_what_a_later_and_much_quicker_request_overtook_is_unserved(
    since: float, waited: float, began: float, took: float
) -> None:
    if is_unserved(since, since + waited, Answered(began, took)):
        assert began >= since
        assert waited >= 0.99
        assert waited >= took * 9.9
    assert not is_unserved(since, since + waited, None)


def test_the_bound_falls_to_what_is_served_and_rises_by_one_more_and_more_slowly() -> None:
    crowding = Crowding(64)
    crowding.unserved(10)
    assert crowding.limit == 10
    crowding.unserved(1)
    assert crowding.limit == 1
    for _ in range(FIRST_STEP * 2):
        crowding.answered()
    assert crowding.limit == 2
    crowding.unserved(1)
    for _ in range(FIRST_STEP * 2):
        crowding.answered()
    assert crowding.limit == 1, "a rise that was a mistake is tried later"
    for _ in range(10_000 * 64):
        crowding.answered()
    assert crowding.limit is None, "a receiver that serves all has all again"


@pytest.mark.parametrize(
    ("unserved", "served", "crowded"),
    [
        (0, 0, False),
        (1, 1, True),
        (1, 8, True),
        (1, 9, False),
        (8, 8, True),
        (8, 9, False),
        (63, 1, True),
        (32, 33, False),
    ],
)
def test_one_request_without_an_answer_beside_many_is_no_crowd(
    *, unserved: int, served: int, crowded: bool
) -> None:
    """It may be an event that this receiver never answers: one slowed 2,000 others to 7 a second."""
    assert is_crowd(unserved, served) is crowded
