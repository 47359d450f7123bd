"""Which addresses are never dialled, in any spelling, and which only where it is allowed."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.destinations import Endpoint
from eventproc.http.addresses import Address, Resolver
from eventproc.http.aiohttp_connector import GuardedResolver
from eventproc.http.connection import Connection, Unanswered
from eventproc.http.dialer import Dialer
from eventproc.http.egress import EgressPolicy, ForbiddenAddressError, IpNetwork
from eventproc.http.resolver import open_resolver
from eventproc.http.sender import Sender, make_sender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver

ANY = EgressPolicy(allow_private=True)
PUBLIC = EgressPolicy(allow_private=False)
METADATA = "169.254.169.254"

NEVER = [
    METADATA,
    "169.254.0.1",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:0:0",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::",
    "2002:a9fe:a9fe::1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2001:0:a9fe:a9fe::",
    "2001:0:0102:0304::5601:5601",
    "fd12::5efe:a9fe:a9fe",
    "fd12::200:5efe:a9fe:a9fe",
]
SPELLINGS = [
    "2852039166",
    "0xa9fea9fe",
    "0xA9FEA9FE",
    "025177524776",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "１６９.２５４.１６９.２５４",
    "169。254。169。254",
    "①⑥⑨.254.169.254",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "0",
    "0x0",
]
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.8",
    "240.0.0.1",
    "::1",
    "fd12::1",
    "fec0::1",
    "2001:db8::1",
    "3fff::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "2002:a00:1::",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::808:808",
    "2001:0:0102:0304::1",
]
FREE = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::",
]


@pytest.mark.parametrize("address", NEVER)
def test_credentials_of_clouds_are_out_of_reach(address: str) -> None:
    everything = EgressPolicy(
        allow_private=True, allowed_networks=(ip_network("0.0.0.0/0"), ip_network("::/0"))
    )
    for policy in (ANY, PUBLIC, everything):
        assert policy.forbids_host(address)
        assert not policy.allows(address)


@pytest.mark.parametrize("host", SPELLINGS)
def test_an_address_by_any_other_spelling_is_that_address(host: str) -> None:
    assert ANY.forbids_host(host)
    assert not ANY.allows(host), "and no socket is made for what is no plain address"


@pytest.mark.parametrize("address", PRIVATE)
def test_private_ones_by_a_switch(address: str) -> None:
    assert ANY.allows(address)
    assert not PUBLIC.allows(address)
    assert PUBLIC.forbids_host(address)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "１２７.0.0.1"])
def test_private_ones_by_another_spelling_too(host: str) -> None:
    assert not ANY.forbids_host(host)
    assert PUBLIC.forbids_host(host)


@pytest.mark.parametrize("address", FREE)
def test_public_ones_are_free(address: str) -> None:
    assert PUBLIC.allows(address)
    assert not PUBLIC.forbids_host(address)


@pytest.mark.parametrize(
    "name", ["wallet.example.com", "", "localhost", "1.example.com", "0x7f.example.com", "🦄.example"]
)
def test_a_name_is_no_address(name: str) -> None:
    assert not PUBLIC.forbids_host(name), "what it stands for is judged when it is resolved"
    assert not PUBLIC.allows(name)


@given(st.ip_addresses())
def test_what_is_link_local_never_passes_and_what_python_calls_private_only_when_allowed(
    address: Any,
) -> None:
    assert ANY.allows(str(address)) or not PUBLIC.allows(str(address))
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        assert not ANY.allows(str(address))
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    if address.is_private and not mapped and not str(address).startswith(("64:ff9b", "::")):
        assert not PUBLIC.allows(str(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_within_an_ipv6_one_is_judged_as_itself(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    spellings = [
        f"::ffff:{inner}",
        f"64:ff9b::{inner}",
        f"::ffff:0:{inner}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
    ]
    for policy in (ANY, PUBLIC):
        assert {policy.allows(spelling) for spelling in spellings} == {policy.allows(str(inner))}


# --- which private networks -------------------------------------------------------------------------------------


def policy_of(**env: str) -> EgressPolicy:
    return EgressPolicy.of(load_settings(env=env).delivery)


@pytest.mark.parametrize("switch", ["true", "false"])
def test_a_list_of_networks_says_which_private_ones(switch: str) -> None:
    policy = policy_of(
        DELIVERY_ALLOWED_NETWORKS="10.1.0.0/16, fd12::/64, 192.168.1.7",
        DELIVERY_ALLOW_PRIVATE_NETWORKS=switch,
    )
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::9", "192.168.1.7", *FREE):
        assert policy.allows(allowed), allowed
    for refused in ("10.2.0.1", "fd12:0:0:1::9", "192.168.1.8", "127.0.0.1", "::1", METADATA):
        assert not policy.allows(refused), refused


def test_without_a_list_the_switch_decides() -> None:
    assert policy_of() == ANY
    assert policy_of(DELIVERY_ALLOW_PRIVATE_NETWORKS="false") == PUBLIC


# --- at the socket ----------------------------------------------------------------------------------------------


class Answers:
    """A DNS of ours: each question gets the next answer; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    async def resolve(self, host: str, port: int) -> list[Address]:
        self.questions.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [Address(socket.AF_INET6 if ":" in one else socket.AF_INET, (one, port)) for one in found]


_dialled: list[tuple[Any, ...]] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _dialled is not None:
        _dialled.append(arguments[1])


sys.addaudithook(_audit)  # cannot be taken out again; it notes nothing outside of these tests


@contextmanager
def noting_connects() -> Iterator[list[tuple[Any, ...]]]:
    """Every address that Python asks the kernel to connect to."""
    global _dialled  # noqa: PLW0603 - an audit hook has nowhere else to look
    _dialled = []
    try:
        yield _dialled
    finally:
        _dialled = None


CLIENTS = ("own", "aiohttp")


def sender(url: str, resolver: Resolver | None = None, **env: str) -> Sender:
    bounds = {"DELIVERY_REQUEST_TIMEOUT_SECONDS": "5", "DELIVERY_CONNECT_TIMEOUT_SECONDS": "2"}
    return make_sender(Endpoint(url), load_settings(env=bounds | env).delivery, resolver)


def is_refused(result: Response | NoResponse) -> bool:
    return isinstance(result, NoResponse) and result.kind is FailureKind.FORBIDDEN_ADDRESS


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_name_that_resolves_anew_to_a_metadata_address_gains_nothing(client: str) -> None:
    """DNS rebinding: allowed when it was looked at, the cloud's credentials when it is dialled again."""
    async with Receiver() as receiver:
        dns = Answers([LOOPBACK], [METADATA], [METADATA, LOOPBACK], ["::ffff:a9fe:a9fe"])
        post = sender(f"http://rebind.example:{receiver.port}/", dns, DELIVERY_HTTP_CLIENT=client)
        results = []
        with noting_connects() as dialled:
            for _ in range(4):
                results.append(await post.send({}, b"body"))
                await post.close()  # else the connection and what was resolved are kept
        assert [is_refused(result) for result in results] == [False, True, False, True]
        assert len(dns.questions) == 4
        assert dialled == [(LOOPBACK, receiver.port)] * 2
        assert len(receiver.requests) == 2


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_was_resolved_and_checked_is_what_is_dialled(client: str) -> None:
    """One question for one connection: there is no second one that could be answered otherwise."""
    async with Receiver() as receiver:
        dns = Answers([LOOPBACK], [METADATA])
        post = sender(f"http://pinned.example:{receiver.port}/", dns, DELIVERY_HTTP_CLIENT=client)
        with noting_connects() as dialled:
            assert isinstance(await post.send({}, b"body"), Response)
        assert dns.questions == ["pinned.example"]
        assert dialled == [(LOOPBACK, receiver.port)]
        await post.close()


@pytest.mark.parametrize(
    "host",
    [METADATA, "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166", "0xa9fea9fe", "１６９.254.169.254"],
)
@pytest.mark.parametrize("proxied", [False, True])
async def test_an_address_in_a_url_is_refused_before_anything_is_dialled(host: str, proxied: bool) -> None:
    env = {"DELIVERY_PROXY_URL": f"http://{LOOPBACK}:{free_port()}"} if proxied else {}
    post = sender(f"http://{host}:{free_port()}/latest/meta-data", None, **env)
    with noting_connects() as dialled:
        assert is_refused(await post.send({}, b"body"))
    assert dialled == []
    await post.close()


@pytest.mark.parametrize("answer", [METADATA, "2852039166", "metadata.google.internal", "fe80::1%lo", "0"])
async def test_the_socket_is_checked_even_if_nothing_before_was(answer: str) -> None:
    """As if the look at what was resolved had let it pass."""
    judged: list[str] = []

    def allows_at_first(address: str) -> bool:
        judged.append(address)
        return len(judged) == 1 or ANY.allows(address)

    dialer = Dialer("some.example", free_port(), Answers([answer]), allows_at_first, None, 2.0)
    with noting_connects() as dialled:
        result = await dialer.dial(never_made, asyncio.get_running_loop().time() + 5)
    assert isinstance(result, Unanswered)
    assert result.kind is FailureKind.FORBIDDEN_ADDRESS
    assert judged == [answer] * 2
    assert dialled == []


def never_made() -> Connection:
    raise AssertionError("nothing was to be connected")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_name_is_asked_for_as_it_stands_in_the_url(client: str) -> None:
    """In its ASCII form, which is also what the Host header and the certificate's name are about."""
    async with Receiver() as receiver:
        dns = Answers([LOOPBACK])
        post = sender(f"http://xn--bcher-kva.example:{receiver.port}/", dns, DELIVERY_HTTP_CLIENT=client)
        assert isinstance(await post.send({}, b"body"), Response)
        assert dns.questions == ["xn--bcher-kva.example"]
        assert receiver.requests[0].headers["Host"] == f"xn--bcher-kva.example:{receiver.port}"
        await post.close()


async def test_private_networks_are_refused_at_the_socket_too() -> None:
    async with Receiver() as receiver:
        dns = Answers([LOOPBACK])
        closed = sender(f"http://a.example:{receiver.port}/", dns, DELIVERY_ALLOW_PRIVATE_NETWORKS="false")
        listed = sender(f"http://a.example:{receiver.port}/", dns, DELIVERY_ALLOWED_NETWORKS="127.0.0.0/8")
        other = sender(f"http://a.example:{receiver.port}/", dns, DELIVERY_ALLOWED_NETWORKS="10.0.0.0/8")
        assert is_refused(await closed.send({}, b"1"))
        assert not is_refused(await listed.send({}, b"2"))
        assert is_refused(await other.send({}, b"3"))
        assert [request.body for request in receiver.requests] == [b"2"]
        for one in (closed, listed, other):
            await one.close()


async def test_a_proxy_may_be_private_as_the_operator_chose_it() -> None:
    async with Receiver() as proxy:
        env = {"DELIVERY_PROXY_URL": proxy.url, "DELIVERY_ALLOW_PRIVATE_NETWORKS": "false"}
        post = sender("http://wallet.example/callback", None, **env)
        with noting_connects() as dialled:
            assert isinstance(await post.send({}, b"body"), Response)
        assert dialled == [(LOOPBACK, proxy.port)]
        assert proxy.requests[0].headers["Host"] == "wallet.example"
        await post.close()


@pytest.mark.parametrize(("user", "name"), [("anchor", "anchor"), ("an%40chor", "an@chor"), ("ü", "ü")])
async def test_a_proxy_is_shown_the_user_s_password(user: str, name: str) -> None:
    async with Receiver() as proxy:
        env = {
            "DELIVERY_PROXY_URL": proxy.url.replace("//", f"//{user}@"),
            "SECRET_DELIVERY_PROXY_PASSWORD": "hünter:2",
        }
        post = sender("http://wallet.example/callback", None, **env)
        assert isinstance(await post.send({}, b"body"), Response)
        kind, _, shown = proxy.requests[0].headers["Proxy-Authorization"].partition(" ")
        assert (kind, base64.b64decode(shown).decode()) == ("Basic", f"{name}:hünter:2")
        assert user not in proxy.requests[0].path
        await post.close()


async def test_the_environment_s_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        post = sender(receiver.url)
        assert isinstance(await post.send({}, b"body"), Response)
        assert (len(proxy.requests), len(receiver.requests)) == (0, 1)
        await post.close()


async def test_a_name_that_stands_for_a_forbidden_address_is_refused() -> None:
    async with aclosing(open_resolver()) as resolver:
        with pytest.raises(ForbiddenAddressError):
            await GuardedResolver(PUBLIC, resolver).resolve("localhost", 80)
        allowed = await GuardedResolver(ANY, resolver).resolve("localhost", 80)
    assert {one["host"] for one in allowed} <= {"127.0.0.1", "::1"}


def test_networks_are_networks() -> None:
    networks: tuple[IpNetwork, ...] = load_settings(
        env={"DELIVERY_ALLOWED_NETWORKS": "10.0.0.0/8,::1"}
    ).delivery.allowed_networks
    assert networks == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
