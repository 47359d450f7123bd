"""Names are resolved by c-ares against a real name server on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass

import pytest

from eventproc.destinations import Endpoint
from eventproc.http.addresses import Address, NameNotResolvedError
from eventproc.http.connection import Connection
from eventproc.http.crowding import Crowding
from eventproc.http.dialer import Dialer
from eventproc.http.dns_lookup import DnsLookup, Found, NotAnswered, NotFound
from eventproc.http.pool import Pool
from eventproc.http.resolver import CachingResolver
from eventproc.http.sender import HttpSender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from settings.delivery import DeliverySettings
from tests.contract.senders import MakeSender
from tests.servers.name_server import NameServer
from tests.servers.ports import LOOPBACK
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, always


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with NameServer() as server:
        yield server


@pytest.fixture
async def lookup(server: NameServer) -> AsyncIterator[DnsLookup]:
    lookup = DnsLookup([server.address])
    yield lookup
    lookup.close()


async def test_addresses_and_the_ttl_are_the_name_server_s(server: NameServer, lookup: DnsLookup) -> None:
    server.addresses["wallet.test"] = (["127.0.0.5", "127.0.0.6"], 77)

    found = await lookup.look_up("wallet.test")

    assert isinstance(found, Found)
    assert sorted(place[0] for _, place in found.places) == ["127.0.0.5", "127.0.0.6"]
    assert found.ttl_seconds == 77


async def test_a_denial_is_no_failure_and_can_be_forgotten(server: NameServer, lookup: DnsLookup) -> None:
    assert await lookup.look_up("new.test") == NotFound()
    server.addresses["new.test"] = (["127.0.0.5"], 60)
    lookup.forget()

    async def is_found() -> None:
        while not isinstance(await lookup.look_up("new.test"), Found):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(is_found(), 60)


@pytest.mark.parametrize("what", ["silent", "failing"])
async def test_a_name_server_without_an_answer_is_not_a_denial(
    server: NameServer, lookup: DnsLookup, what: str
) -> None:
    getattr(server, what).add("wallet.test")

    assert isinstance(await lookup.look_up("wallet.test"), NotAnswered)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_the_hosts_file_and_addresses_need_no_name_server(
    server: NameServer, lookup: DnsLookup, host: str
) -> None:
    assert isinstance(await lookup.look_up(host), Found)
    assert not server.asked


async def test_lookups_end_when_the_resolver_is_closed(server: NameServer, lookup: DnsLookup) -> None:
    server.silent.add("silent.test")
    resolver = CachingResolver(lookup)
    request = asyncio.create_task(resolver.resolve("silent.test", 443))
    while not server.asked:
        await asyncio.sleep(0.01)

    await asyncio.wait_for(resolver.aclose(), 30)

    with pytest.raises(NameNotResolvedError):
        await request


@pytest.fixture
async def resolver(lookup: DnsLookup) -> AsyncIterator[CachingResolver]:
    async with aclosing(CachingResolver(lookup)) as resolver:
        yield resolver


async def test_a_name_that_does_not_resolve_is_a_failure_of_its_own_kind(
    make_sender: MakeSender, server: NameServer
) -> None:
    sender = make_sender(Endpoint("http://nowhere.test/"), delivery(server))

    result = await sender.send({}, b"body")
    await sender.close()

    detail = "nowhere.test: the name servers know no address"
    assert result == NoResponse(FailureKind.DNS, detail, was_sent=False)


async def test_silent_name_servers_do_not_slow_healthy_receivers(
    server: NameServer, resolver: CachingResolver
) -> None:
    """Each round asks for new names, so each request waits for its own lookup while 24 others wait for theirs.

    Another program on the machine can slow one part of a round; shared threads slow each round by seconds.
    """
    rounds: list[tuple[float, float]] = []
    async with Receiver() as receiver:
        for number in range(5):
            alone = await slowest(server, resolver, receiver, f"alone{number}")
            silent = [f"silent{number}-{index}.test" for index in range(24)]
            server.silent.update(silent)
            waiting = [asyncio.create_task(post(resolver, f"http://{name}/", server)) for name in silent]
            while not server.silent & server.asked.keys() >= set(silent):
                await asyncio.sleep(0.005)
            beside = await slowest(server, resolver, receiver, f"beside{number}")
            assert not any(task.done() for task in waiting), "the healthy ones came first"
            rounds.append((alone, beside))
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            if beside <= 1.5 * alone:
                return
    pytest.fail(f"slowest request alone, and beside silent name servers, in s: {rounds}")


async def slowest(server: NameServer, resolver: CachingResolver, receiver: Receiver, prefix: str) -> float:
    """The time of the slowest of 32 requests to receivers with names of their own."""
    names = [f"{prefix}-{index}.test" for index in range(32)]
    server.addresses.update({name: ([LOOPBACK], 60) for name in names})
    seconds = []
    for name in names:
        began = time.monotonic()
        assert isinstance(await post(resolver, f"http://{name}:{receiver.port}/", server), Response)
        seconds.append(time.monotonic() - began)
    return max(seconds)


async def post(resolver: CachingResolver, url: str, server: NameServer) -> Response | NoResponse:
    sender = HttpSender(Endpoint(url), delivery(server), resolver)
    try:
        return await sender.send({}, b"body")
    finally:
        await sender.close()


def delivery(server: NameServer) -> DeliverySettings:
    return load_settings(env={"DELIVERY_NAME_SERVERS": server.address}).delivery


@dataclass
class TwoAddresses:
    """A resolver: the one address and then the other."""

    numbers: tuple[str, str]

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        assert host
        return [Address(int(socket.AF_INET), (number, port)) for number in self.numbers]


@pytest.mark.parametrize("first", ["refuses", "swallows"])
async def test_an_address_that_does_not_answer_is_tried_last_from_then_on(first: str) -> None:
    closing = always(Answer(200, {"Connection": "close"}, b""))
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(Receiver(respond=closing))
        if first == "swallows":
            stack.enter_context(swallowing("127.0.0.2", receiver.port))
        policy = NotingPolicy()
        dialer = Dialer(
            "wallet.test", receiver.port, TwoAddresses(("127.0.0.2", LOOPBACK)), policy.allows, None, 30
        )
        pool = Pool(dialer.dial, 0, Crowding(64))
        for _ in range(2):
            connection = await pool.connect(asyncio.get_running_loop().time() + 30)
            assert isinstance(connection, Connection)
            connection.abort()
        await pool.close()

    judged_then_opened = policy.asked
    assert judged_then_opened == [
        *("127.0.0.2", LOOPBACK, "127.0.0.2", LOOPBACK),
        *("127.0.0.2", LOOPBACK, LOOPBACK),
    ]


class NotingPolicy:
    """Allows everything, and notes what it is asked: each resolved address, then each that a socket is made for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def allows(self, address: str) -> bool:
        self.asked.append(address)
        return True


@contextmanager
def swallowing(address: str, port: int) -> Iterator[None]:
    """A port whose backlog is full: the kernel drops each further attempt to connect, as a black hole does."""
    with socket.create_server((address, port), backlog=0), ExitStack() as stack:
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect((address, port))
        yield
