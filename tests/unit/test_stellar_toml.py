from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from eventproc.doctor.stellar_toml_source import read_stellar_toml, stellar_toml_url
from eventproc.stellar_toml import MAX_BYTES, StellarToml, StellarTomlError, parse_stellar_toml
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED
from tests.servers.certificates import Authority
from tests.servers.static_site import static_site

PATH = "/.well-known/stellar.toml"
CONTENT = (
    f'SIGNING_KEY = "{TEST_PUBLIC_KEY}"\nNETWORK_PASSPHRASE = "Test SDF Network ; September 2015"\n'.encode()
)


def test_the_keys_are_read() -> None:
    assert parse_stellar_toml(CONTENT, "x") == StellarToml(
        TEST_PUBLIC_KEY, (("SIGNING_KEY", TEST_PUBLIC_KEY),), "Test SDF Network ; September 2015"
    )


@pytest.mark.parametrize(
    "content", [b"", b'VERSION="2.0.0"', b"SIGNING_KEY = 5", b'ACCOUNTS = "G"', b"ACCOUNTS = [1]"]
)
def test_a_file_without_a_key_has_none(content: bytes) -> None:
    assert parse_stellar_toml(content, "x") == StellarToml(None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "no TOML"),
        (b"\xff\xfe", "no TOML"),
        (b"#" * (MAX_BYTES + 1), "SEP-1 allows no more"),
        (f'SIGNING_KEY = "{TEST_SEED}"'.encode(), "no account"),
        (b"a = " + b"[" * 50_000, "no TOML"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_shows_no_secret(content: bytes, said: str) -> None:
    with pytest.raises(StellarTomlError, match=f"x: .*{said}") as refused:
        parse_stellar_toml(content, "x")
    assert TEST_SEED not in str(refused.value)


ANY_VALUE = [
    "5",
    "1.5",
    "true",
    "2026-11-24T10:00:00Z",
    "10:00:00",
    '"G"',
    "[]",
    "[[1], {a = 1}]",
    "{ a = 1 }",
    "nan",
]


@pytest.mark.parametrize("value", ANY_VALUE)
@pytest.mark.parametrize(
    "name", ["ACCOUNTS", "SIGNING_KEY", "URI_REQUEST_SIGNING_KEY", "NETWORK_PASSPHRASE", "DOCUMENTATION"]
)
def test_no_type_of_a_member_is_more_than_a_file_that_cannot_be_used(name: str, value: str) -> None:
    """The file is the anchor's own, and a worker looks at it: ``ACCOUNTS = 5`` ended the worker."""
    others = "".join(f'{one} = "{TEST_PUBLIC_KEY}"\n' for one in ("SIGNING_KEY",) if one != name)
    try:
        found = parse_stellar_toml(f"{others}{name} = {value}\n".encode(), "x")
    except StellarTomlError:
        assert (name, value) == ("SIGNING_KEY", '"G"')
    else:
        assert found.signing_key == (None if name == "SIGNING_KEY" else TEST_PUBLIC_KEY)
        assert {account for _, account in found.accounts} <= {TEST_PUBLIC_KEY}


def test_where_a_domains_file_is() -> None:
    assert stellar_toml_url("anchor.example.com") == "https://anchor.example.com/.well-known/stellar.toml"
    assert stellar_toml_url("https://localhost:8443/") == "https://localhost:8443/.well-known/stellar.toml"


async def test_it_is_fetched_with_redirects_within_https(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    pages: dict[str, bytes | tuple[int, dict[str, str]]] = {
        PATH: CONTENT,
        "/moved": (302, {"Location": PATH}),
        "/plain": (302, {"Location": "http://127.0.0.1:1/"}),
        "/large": b"#" * (MAX_BYTES * 20),
    }
    with static_site(pages, authority.server()) as port:
        for path in (PATH, "/moved"):
            found = await read_stellar_toml(
                f"https://localhost:{port}{path}", timeout_seconds=30, ca_path=authority.path
            )
            assert found.signing_key == TEST_PUBLIC_KEY
        for path, said in (("/plain", "127.0.0.1"), ("/large", "SEP-1"), ("/gone", "answers 404")):
            with pytest.raises(StellarTomlError, match=said):
                await read_stellar_toml(
                    f"https://localhost:{port}{path}", timeout_seconds=30, ca_path=authority.path
                )


async def test_it_is_not_awaited_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as never_accepts:
        url = f"https://127.0.0.1:{never_accepts.getsockname()[1]}{PATH}"
        began = time.monotonic()
        with pytest.raises(StellarTomlError, match=r"no answer within 0\.2 s"):
            await read_stellar_toml(url, timeout_seconds=0.2)
        assert time.monotonic() - began < 30


async def test_plain_http_is_refused() -> None:
    with pytest.raises(StellarTomlError, match="https"):
        await read_stellar_toml(f"http://127.0.0.1:1{PATH}", timeout_seconds=1)
