from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.scrubbing import MASK, SHORTEST, scrub

KEY = 'k/9+"x&<y=~secret of the business server'
TOKEN = jwt.encode({"iat": 1, "exp": 2}, "s" * 32, "HS256")
HEADERS = {"X-Api-Key": KEY, "X-Event-Id": "event-1234567", "Content-Type": "application/json; charset=utf-8"}

ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps({"header": text}),
    "JSON as PHP writes it": lambda text: json.dumps({"header": text}).replace("/", "\\/"),
    "Python": lambda text: repr({"X-Api-Key": text}),
    "HTML": html.escape,
    "URL": lambda text: quote(text, safe=""),
    "URL, in lower case": lambda text: quote(text, safe="").lower(),
    "URL path": quote,
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    **{
        f"base64, {before} before": lambda text, before=before: base64.b64encode(  # type: ignore[misc]
            b"x" * before + text.encode() + b"yz"
        ).decode()
        for before in range(5)
    },
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_what_we_sent_does_not_come_back(echo: Callable[[str], str]) -> None:
    text = f"Exception at /event: X-Api-Key {echo(KEY)} (end)".encode()
    found = scrub(text, HEADERS)
    assert found != text
    assert MASK in found
    middle = echo(KEY).encode()[len(echo(KEY)) // 4 : len(echo(KEY)) * 3 // 4]
    assert middle not in found
    assert found.startswith(b"Exception at /event: ")
    assert found.endswith(b"(end)")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=SHORTEST), st.data())
def test_no_form_of_any_key_comes_back(key: str, data: st.DataObject) -> None:
    key = key.strip()
    if len(key) < SHORTEST or not key.replace("*", ""):
        return
    form = data.draw(
        st.sampled_from(
            [key, json.dumps(key)[1:-1], quote(key, safe=""), html.escape(key), key.encode().hex()]
        )
    )
    assert form.encode() not in scrub(f"<{form}>".encode(), {"X-Api-Key": key})


def test_a_secret_that_is_cut_off_at_the_end_is_masked_too() -> None:
    whole = b"request: " + KEY.encode()
    for length in range(len(b"request: ") + SHORTEST, len(whole) + 1):
        assert scrub(whole[:length], HEADERS) == b"request: " + MASK


def test_tokens_are_masked_wherever_they_are_from() -> None:
    """The one in a wallet's ``more_info_url`` opens its customer's page."""
    sent = {"Authorization": f"Bearer {TOKEN}"}
    body = json.dumps({"more_info_url": f"https://anchor/more_info?id=1&token={TOKEN}", "auth": TOKEN})
    for headers in (sent, {}):
        found = scrub(f"{sent['Authorization']} {body} {quote_plus(TOKEN)} {TOKEN[:40]}".encode(), headers)
        assert b"eyJ" not in found
        assert TOKEN.rpartition(".")[2].encode() not in found
    assert b"https://anchor/more_info?id=1&token=***" in found


def test_the_rest_stays_as_it_is() -> None:
    text = b'{"error": "event-1234567 is unknown", "type": "application/json; charset=utf-8"} \xff\x00'
    assert scrub(text, HEADERS) == text
    assert scrub(b"", HEADERS) == b""
    assert scrub(text, {}) == text


def test_a_key_too_short_to_be_told_from_text_is_left() -> None:
    assert scrub(b"a nice day", {"X-Api-Key": "a"}) == b"a nice day"
