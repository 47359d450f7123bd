"""The pages are served for known hosts only, so that a web site cannot read them by DNS rebinding."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pages import PAGES
from agents.pages.hosts import is_known_host, is_open_to_any_host
from tests.unit.pages.site import BROWSER, a_site

OWN = ["0.0.0.0", "10.0.0.7"]
CONFIGURED = ["pages.example.com", "*.workers.internal", "[fd00::2]", "xn--mnchen-3ya.example"]

KNOWN = [
    *(
        "localhost",
        "localhost:8088",
        "LOCALHOST:9000",
        "localhost.",
        "localhost:",
        "127.0.0.1:8088",
        "127.3.2.1",
    ),
    *("[::1]", "[::1]:8088", "[::ffff:127.0.0.1]:80", "10.0.0.7:8088", "[::ffff:10.0.0.7]:8088"),
    *("pages.example.com", "Pages.Example.COM.:443", "a.workers.internal:1", "a.b.workers.internal"),
    *("[fd00::2]:8088", "[FD00:0::2]", "m\u00fcnchen.example"),
]
FOREIGN = [
    *(
        "attacker.example",
        "attacker.example:8088",
        "localhost.attacker.example",
        "localhostx",
        "xlocalhost:8088",
    ),
    *(
        "127.0.0.1.attacker.example",
        "10.0.0.8",
        "10.0.0.7.attacker.example:8088",
        "[fd00::3]",
        "[2001:db8::1]:80",
    ),
    *("pages.example.com.attacker.example", "xpages.example.com", "example.com", "workers.internal"),
    *(
        "xworkers.internal",
        "",
        ":8088",
        "::1",
        "[::1",
        "localhost:x",
        "localhost:8088:8088",
        "localhost/",
        "a b",
    ),
    *(
        "localhost, attacker.example",
        "attacker.example@localhost",
        "localhost@attacker.example",
        "localhost\t",
    ),
]


@pytest.mark.parametrize("header", KNOWN)
def test_known_hosts_in_every_form(header: str) -> None:
    assert is_known_host(header, CONFIGURED, OWN)


@pytest.mark.parametrize("header", [*FOREIGN, None])
def test_all_others_are_foreign(header: str | None) -> None:
    assert not is_known_host(header, CONFIGURED, OWN)
    assert is_known_host(header, ["*"], OWN)


LABEL = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)
PORT = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))


@given(st.lists(LABEL, min_size=1, max_size=4), PORT, st.booleans(), st.booleans())
def test_a_name_is_known_exactly_if_it_is_configured(
    labels: list[str], port: str, is_upper: bool, has_dot: bool
) -> None:
    name = ".".join(labels)
    header = (name.upper() if is_upper else name) + ("." if has_dot else "") + port
    if name != "localhost":
        assert not is_known_host(header, [], OWN)
    assert is_known_host(header, [name], OWN)
    assert is_known_host(header, [], [name]), "a name that is bound"
    assert is_known_host(f"a.{header}", [f"*.{name}"], OWN)
    assert not is_known_host(f"a{header}", [name, f"*.{name}"], OWN)
    assert not is_known_host(f"{name}.attacker{port}", [name, f"*.{name}"], OWN)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), PORT)
def test_an_address_is_known_exactly_if_it_is_ours(address: IPv4Address | IPv6Address, port: str) -> None:
    host = f"[{address.exploded}]" if address.version == 6 else str(address)
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert is_known_host(host + port, [], OWN) == (mapped.is_loopback or str(mapped) in OWN)
    assert is_known_host(host + port, [], [str(address)])


@given(st.text())
def test_no_header_makes_it_raise(header: str) -> None:
    is_known_host(header, CONFIGURED, OWN)


async def test_every_page_but_health_and_metrics_refuses_a_foreign_host() -> None:
    async with a_site(WEB_HOSTS="pages.example.com") as site:
        site.engine()
        for path in [*PAGES, "/stats/", "/nothing", "/health/../dead-letters/", "/metrics/../dead-letters/"]:
            for form in ("text/html", "application/json"):
                foreign = {"Host": f"attacker.example:{site.client.port}", "Accept": form}
                answer = await site.client.get(path, headers=BROWSER | foreign, allow_redirects=False)
                is_open = is_open_to_any_host(path) and ".." not in path
                assert (answer.status == 421) != is_open, path
                if not is_open:
                    text = await answer.text()
                    assert "'attacker.example:" in text
                    assert "web.hosts" in text
                    assert site.app.desk.worker_name() not in text
        post = await site.post("/login", {"token": "x"}, Host="attacker.example")
        assert post.status == 421
        assert (await site.get("/", Host="pages.example.com")).status == 200
        assert (await site.get("/", Host="localhost:9000")).status == 200
        assert (await site.get("/")).status == 200, "the address of the connection"


async def test_a_host_is_shown_as_plain_text_and_cut() -> None:
    async with a_site() as site:
        answer = await site.get("/", Host="<b>& " + "x" * 5000)
        text = await answer.text()
        assert (answer.status, answer.content_type) == (421, "text/plain")
        assert len(text) < 1000
