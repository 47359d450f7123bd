"""Strkeys, checked against the Stellar SDK."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stellar_sdk import Keypair, MuxedAccount, StrKey

from eventproc.errors import StrkeyError
from eventproc.strkey import base_account, decode_account, decode_seed, encode_account

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
ACCOUNT = "GDQOE23CFSUMSVQK4Y5JHPPYK73VYCNHZHA7ENKCV37P6SUEO6XQBKPP"
KEYS = st.binary(min_size=32, max_size=32)


@settings(max_examples=50)
@given(KEYS)
def test_keys_read_as_the_sdk_writes_them(key: bytes) -> None:
    assert decode_seed(StrKey.encode_ed25519_secret_seed(key)) == key
    assert decode_account(StrKey.encode_ed25519_public_key(key)) == key
    assert encode_account(key) == StrKey.encode_ed25519_public_key(key)


@settings(max_examples=50)
@given(KEYS, st.integers(min_value=0, max_value=2**64 - 1))
def test_muxed_account_leads_to_the_account_below(key: bytes, muxed_id: int) -> None:
    account = StrKey.encode_ed25519_public_key(key)
    assert base_account(MuxedAccount(account, muxed_id).account_muxed) == account
    assert base_account(account) == account


def test_the_seed_of_the_tests_is_read() -> None:
    assert decode_seed(SEED) == Keypair.from_secret(SEED).raw_secret_key()


WRONG = [
    "",
    "S",
    "G" * 56,
    SEED[:-1],
    SEED + "A",
    SEED.lower(),
    SEED[:20] + "0" + SEED[21:],
    SEED[:20] + "é" + SEED[21:],
    SEED[:-8] + "========",
    " " + SEED,
    SEED[:20] + ("A" if SEED[20] != "A" else "B") + SEED[21:],
]


@pytest.mark.parametrize("text", [*WRONG, ACCOUNT])
def test_what_is_no_seed_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(StrkeyError) as refused:
        decode_seed(text)
    assert len(text) < 2 or text not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("text", [SEED, "", "M", "M" + ACCOUNT[1:], ACCOUNT[:-1] + "A"])
def test_what_is_no_account_is_refused(text: str) -> None:
    with pytest.raises(StrkeyError):
        base_account(text)


def test_muxed_account_with_a_stray_last_bit_is_refused() -> None:
    muxed = MuxedAccount(ACCOUNT, 7).account_muxed
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    stray = muxed[:-1] + alphabet[alphabet.index(muxed[-1]) ^ 1]
    with pytest.raises(StrkeyError):
        base_account(stray)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(StrkeyError):
        encode_account(b"x" * length)


@settings(max_examples=300)
@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ234567=GMS189é", max_size=75))
def test_no_text_raises_anything_else(text: str) -> None:
    for read in (decode_seed, decode_account, base_account):
        with pytest.raises(StrkeyError):
            read(text)
