"""Addresses of names: how long they are kept, what silence and a denial mean, and who waits for whom."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

import pytest
from structlog.testing import capture_logs

from eventproc.http.addresses import Address, NameNotResolvedError
from eventproc.http.dns_lookup import Found, LookupResult, NotAnswered, NotFound
from eventproc.http.resolver import (
    LONGEST_SECONDS,
    LONGEST_STALE_SECONDS,
    NEGATIVE_SECONDS,
    RETRY_SECONDS,
    SHORTEST_SECONDS,
    CachingResolver,
)
from tests.fakes.clock import FakeClock, settle

SILENCE = NotAnswered("timeout")


class FakeNameServers:
    """Answers at once, or when the test says so."""

    def __init__(self) -> None:
        self.answers: dict[str, LookupResult] = {}
        self.asked: Counter[str] = Counter()
        self.silent: dict[str, asyncio.Event] = {}
        self.forgotten = 0

    async def look_up(self, host: str) -> LookupResult:
        self.asked[host] += 1
        if host in self.silent:
            await self.silent[host].wait()
        return self.answers.get(host, SILENCE)

    def forget(self) -> None:
        self.forgotten += 1

    def close(self) -> None:
        """Has nothing to close."""


class World:
    def __init__(self) -> None:
        self.servers = FakeNameServers()
        self.clock = FakeClock()
        self.resolver = CachingResolver(self.servers, self.clock.monotonic, stale_after_seconds=0.01)

    async def numbers(self, host: str) -> list[str]:
        return [address.number for address in await self.resolver.resolve(host, 443)]


@pytest.fixture
def world() -> World:
    return World()


def found(*numbers: str, ttl: int = 60) -> Found:
    return Found([(int(socket.AF_INET), (number, 0)) for number in numbers], ttl)


async def test_an_address_has_the_port_that_was_asked_for(world: World) -> None:
    world.servers.answers["a"] = Found(
        [(int(socket.AF_INET6), ("::1", 0, 0, 0)), (int(socket.AF_INET), ("192.0.2.1", 0))], 60
    )

    assert await world.resolver.resolve("a", 8443) == [
        Address(int(socket.AF_INET6), ("::1", 8443, 0, 0)),
        Address(int(socket.AF_INET), ("192.0.2.1", 8443)),
    ]


@pytest.mark.parametrize(
    ("ttl", "kept_seconds"),
    [(0, SHORTEST_SECONDS), (60, 60.0), (86_400, LONGEST_SECONDS)],
)
async def test_an_answer_is_kept_for_its_ttl_within_bounds(
    world: World, ttl: int, kept_seconds: float
) -> None:
    world.servers.answers["a"] = found("192.0.2.1", ttl=ttl)
    await world.numbers("a")
    world.servers.answers["a"] = found("192.0.2.2", ttl=ttl)

    await world.clock.advance(kept_seconds - 0.1)
    assert await world.numbers("a") == ["192.0.2.1"]
    await world.clock.advance(0.2)
    assert await world.numbers("a") == ["192.0.2.2"]
    assert world.servers.asked["a"] == 2


async def test_one_lookup_serves_all_who_ask_at_once_and_outlives_them(world: World) -> None:
    world.servers.silent["a"] = asyncio.Event()
    world.servers.answers["a"] = found("192.0.2.1")
    requests = [asyncio.create_task(world.numbers("a")) for _ in range(3)]
    await settle()
    requests[0].cancel()
    await settle()

    world.servers.silent["a"].set()

    assert await asyncio.gather(*requests[1:]) == [["192.0.2.1"]] * 2
    assert world.servers.asked["a"] == 1


async def test_a_silent_name_server_delays_no_other_name(world: World) -> None:
    for index in range(1_000):
        world.servers.silent[f"silent{index}"] = asyncio.Event()
    waiting = [asyncio.create_task(world.numbers(name)) for name in world.servers.silent]
    await settle()
    world.servers.answers["healthy"] = found("192.0.2.1")

    assert await asyncio.wait_for(world.numbers("healthy"), 30) == ["192.0.2.1"]

    assert not any(task.done() for task in waiting)
    await world.resolver.aclose()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {NameNotResolvedError}


@pytest.mark.parametrize("is_silent", [False, True], ids=["SERVFAIL", "silence"])
async def test_earlier_addresses_stay_in_use_while_no_answer_comes(world: World, *, is_silent: bool) -> None:
    world.servers.answers["a"] = found("192.0.2.1")
    await world.numbers("a")
    world.servers.answers["a"] = SILENCE
    if is_silent:
        world.servers.silent["a"] = asyncio.Event()
    await world.clock.advance(61)

    with capture_logs() as logs:
        assert await world.numbers("a") == ["192.0.2.1"]
        if is_silent:
            world.servers.silent["a"].set()
            await settle()
        await world.clock.advance(3600)
        assert await world.numbers("a") == ["192.0.2.1"]

    assert [(line["event"], line["uses_earlier_addresses"]) for line in logs] == [("name.unanswered", True)]
    assert world.resolver.unanswered == 1


async def test_an_answer_ends_the_use_of_earlier_addresses(world: World) -> None:
    world.servers.answers["a"] = found("192.0.2.1")
    await world.numbers("a")
    world.servers.answers["a"] = SILENCE
    await world.clock.advance(61)
    await world.numbers("a")
    world.servers.answers["a"] = found("192.0.2.2")
    await world.clock.advance(RETRY_SECONDS)

    with capture_logs() as logs:
        assert await world.numbers("a") == ["192.0.2.2"]

    assert [line["event"] for line in logs] == ["name.answered"]
    assert world.resolver.unanswered == 0


async def test_earlier_addresses_are_given_up_after_a_day(world: World) -> None:
    world.servers.answers["a"] = found("192.0.2.1")
    await world.numbers("a")
    world.servers.answers["a"] = SILENCE
    await world.clock.advance(LONGEST_STALE_SECONDS + 1)

    with pytest.raises(NameNotResolvedError, match="no answer from the name servers"):
        await world.numbers("a")


async def test_a_denial_ends_the_use_of_earlier_addresses_and_is_kept_for_a_moment(world: World) -> None:
    world.servers.answers["a"] = found("192.0.2.1")
    await world.numbers("a")
    world.servers.answers["a"] = NotFound()
    await world.clock.advance(61)
    for _ in range(5):
        with pytest.raises(NameNotResolvedError, match="know no address"):
            await world.numbers("a")
    assert world.servers.asked["a"] == 2

    world.servers.answers["a"] = found("192.0.2.3")
    await world.clock.advance(NEGATIVE_SECONDS)

    assert await world.numbers("a") == ["192.0.2.3"]
    assert world.servers.forgotten == 1, "c-ares would keep the denial for an hour"


async def test_name_servers_that_do_not_answer_are_not_asked_more_than_once_a_second(world: World) -> None:
    for _ in range(50):
        with pytest.raises(NameNotResolvedError):
            await world.numbers("a")
        await world.clock.advance(RETRY_SECONDS / 10)

    assert world.servers.asked["a"] == 5
