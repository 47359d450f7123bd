"""Callback signatures, checked against the Stellar SDK."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Keypair

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.errors import StrkeyError
from eventproc.signed_text import signed_host

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
PAIR = Keypair.from_secret(SEED)
ACCOUNT: str = PAIR.public_key
HOST = "localhost:18092"
NOW = 1_795_515_897.9


@settings(max_examples=50)
@given(st.binary(max_size=300), st.integers(min_value=0, max_value=2**40))
def test_sdk_verifies_what_is_signed(body: bytes, seconds: int) -> None:
    [(name, value)] = StellarSignature(SEED, HOST).headers(body, seconds + 0.7).items()
    assert name == "Signature"
    timestamp, _, signature = value.removeprefix("t=").partition(", s=")
    assert timestamp == str(seconds)
    PAIR.verify(f"{seconds}.{HOST}.".encode() + body, base64.b64decode(signature, validate=True))


def test_legacy_header_has_the_same_value_and_is_off_by_default() -> None:
    assert set(StellarSignature(SEED, HOST).headers(b"{}", NOW)) == {"Signature"}
    headers = StellarSignature(SEED, HOST, legacy_header=True).headers(b"{}", NOW)
    assert set(headers) == {"Signature", "X-Stellar-Signature"}
    assert len(set(headers.values())) == 1


def test_every_attempt_is_signed_anew() -> None:
    signature = StellarSignature(SEED, HOST)
    assert signature.headers(b"{}", NOW) != signature.headers(b"{}", NOW + 1)


def test_seed_is_never_shown() -> None:
    signature = StellarSignature(SEED, HOST)
    assert repr(signature) == f"StellarSignature(account='{ACCOUNT}', host='{HOST}')"
    with pytest.raises(StrkeyError) as refused:
        StellarSignature(SEED[:-1] + "A", HOST)
    assert SEED[:-1] not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://wallet.example.com/cb", "wallet.example.com"),
        ("https://wallet.example.com", "wallet.example.com"),
        ("https://wallet.example.com:443/cb", "wallet.example.com:443"),
        ("https://wallet.example.com:/cb", "wallet.example.com"),
        ("http://localhost:18092/a?b=c@d:1#e", "localhost:18092"),
        ("https://Wallet.Example.com/cb", "Wallet.Example.com"),
        ("https://user:pass@wallet.example.com:8443/cb", "wallet.example.com:8443"),
        ("https://[2001:DB8::1]/cb", "[2001:DB8::1]"),
        ("https://[2001:db8::1]:8443/cb", "[2001:db8::1]:8443"),
        ("https://10.0.0.1?x", "10.0.0.1"),
    ],
)
def test_signed_host_is_as_the_url_writes_it(url: str, host: str) -> None:
    assert signed_host(url) == host
