"""Tokens, cookies and guesses."""

from __future__ import annotations

from pydantic import SecretStr

from agents.pages.session import (
    FAILURES,
    FAILURES_OF_ALL,
    SESSION_SECONDS,
    Guesses,
    Sessions,
    is_form_token,
)

TOKEN = SecretStr("an-admin-token-of-32-characters!")


def sessions(token: SecretStr = TOKEN, now: float = 1000.0) -> Sessions:
    return Sessions(token, lambda: now)


def test_only_the_token_is_the_token() -> None:
    one = sessions()
    assert one.is_token(TOKEN.get_secret_value())
    for other in ("", "x", TOKEN.get_secret_value() + "x", TOKEN.get_secret_value().upper(), "é\ud800"):
        assert not one.is_token(other)


def test_a_cookie_holds_until_its_end_on_every_worker_with_the_token() -> None:
    cookie = sessions().open()
    assert sessions(now=1000.0 + SESSION_SECONDS - 1).operator(cookie) is not None
    assert sessions(now=1000.0 + SESSION_SECONDS).operator(cookie) is None
    assert sessions(SecretStr("another-token-of-32-characters!!")).operator(cookie) is None


def test_a_cookie_says_nothing_of_the_token_and_no_two_are_the_same() -> None:
    one, other = sessions().open(), sessions().open()
    assert one != other
    assert TOKEN.get_secret_value() not in one


def test_a_changed_cookie_is_none() -> None:
    cookie = sessions().open()
    end, middle, seal = cookie.split(".")
    for forged in (
        "",
        ".",
        "..",
        cookie[:-1],
        f"{int(end) + 1}.{middle}.{seal}",
        f"{end}.{middle}x.{seal}",
        f"{end}.{middle}.{seal}0",
        f"x{cookie}",
        f"{end}.{middle}.é",
        "\ud800",
    ):
        assert sessions().operator(forged) is None


def test_a_form_belongs_to_one_session() -> None:
    one, other = (sessions().operator(sessions().open()) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.form_token is not None
    assert is_form_token(one, one.form_token)
    assert not is_form_token(other, one.form_token)
    assert not is_form_token(one, "")
    assert not is_form_token(one, "é")


async def test_guesses_end_for_an_address_and_for_all() -> None:
    guesses = Guesses()
    for _ in range(FAILURES):
        assert guesses.may_try("a")
        await guesses.failed("a")
    assert not guesses.may_try("a")
    assert guesses.may_try("b")
    for number in range(FAILURES_OF_ALL - FAILURES):
        assert guesses.may_try(f"c{number}")
        await guesses.failed(f"c{number}")
    assert not guesses.may_try("b")


async def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    guesses = Guesses()
    guesses._all.max_rate = 1e9
    for number in range(1500):
        await guesses.failed(str(number))
    assert len(guesses._by_address) == 1000
