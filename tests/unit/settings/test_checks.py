from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError
from stellar_sdk import Keypair, StrKey

from settings.checks import (
    PUBLIC_KEY_VERSION,
    SECRET_SEED_VERSION,
    check_brokers,
    check_signing_key,
    check_url,
    is_strkey,
)
from settings.problems import shown


@given(raw=st.binary(min_size=32, max_size=32))
def test_a_strkey_that_the_stellar_sdk_writes_is_one_and_of_its_kind_only(raw: bytes) -> None:
    public, seed = StrKey.encode_ed25519_public_key(raw), StrKey.encode_ed25519_secret_seed(raw)

    assert is_strkey(public, PUBLIC_KEY_VERSION)
    assert is_strkey(seed, SECRET_SEED_VERSION)
    assert not is_strkey(public, SECRET_SEED_VERSION)
    assert not is_strkey(seed, PUBLIC_KEY_VERSION)


@given(place=st.integers(1, 55), letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_changed_letter_breaks_a_strkey(place: int, letter: str) -> None:
    key = Keypair.from_raw_ed25519_public_key(bytes(range(32))).public_key
    changed = key[:place] + letter + key[place + 1 :]

    assert is_strkey(changed, PUBLIC_KEY_VERSION) is (changed == key)


@pytest.mark.parametrize("check", [check_url, check_brokers, check_signing_key])
@given(text=st.text(max_size=60))
def test_no_text_makes_a_check_fail_otherwise_than_by_refusing(
    check: Callable[[str], str], text: str
) -> None:
    refused: PydanticCustomError | None = None
    try:
        accepted = check(text)
    except PydanticCustomError as error:
        refused = error
    assert (refused.context or {})["right"] if refused else check(accepted) == accepted


VISIBLE = st.characters(min_codepoint=33, max_codepoint=126)


@given(password=st.text(VISIBLE, min_size=8))
def test_a_password_in_a_url_is_masked_however_odd_it_is(password: str) -> None:
    assert password not in shown(f"http://user:{password}@host/")


# With one of /?# in it the rest is no password any more, and the URL may even be right.
@given(password=st.text(VISIBLE.filter(lambda letter: letter not in "/?#"), min_size=8))
def test_a_password_in_a_url_is_never_shown(password: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check_url(f"http://user:{password}@host/")

    assert password not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "https://wallet.example:8443/a/b?c=d",
        "http://host.docker.internal:8081",
        "http://wallet_server:8092/callbacks",
        "http://[::1]:8081/x",
        "http://10.0.0.1/",
        "https://xn--mnchen-3ya.example/",
    ],
)
def test_a_url_that_operators_write_is_right(url: str) -> None:
    assert check_url(url) == url
