"""``more_info_url`` and its token."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from eventproc.payloads import MoreInfoUrl, PayloadContext, Sep
from tests.unit.payloads.builders import NOW, wallet_transaction

SECRET = b"a secret for signing jwts"


def context(
    base_url: str = "https://anchor.example/more", *fields: str, client_name: str | None = None
) -> PayloadContext:
    more_info = MoreInfoUrl(base_url, SECRET, 600, fields)
    return PayloadContext(more_info, more_info, client_name)


def claims(url: str) -> dict[str, Any]:
    [token] = parse_qs(urlsplit(url).query, strict_parsing=True)["token"]
    return jwt.decode(
        token,
        SECRET.ljust(32, b"\0"),
        algorithms=["HS256"],
        options={"verify_exp": False},
    )


@pytest.mark.parametrize("sep", [Sep.SEP6, Sep.SEP24])
def test_token_names_the_transaction_and_the_client(sep: Sep) -> None:
    body = wallet_transaction(sep, context(), client_domain="w.example", client_name="w")
    assert claims(body["more_info_url"]) == {
        "jti": "t-1",
        "exp": int(NOW) + 600,
        "client_domain": "w.example",
        "client_name": "w",
        "data": {},
    }
    assert jwt.get_unverified_header(parse_qs(body["more_info_url"])["token"][0])["alg"] == "HS256"


def test_token_is_fresh_at_every_attempt() -> None:
    first, later = (
        wallet_transaction(Sep.SEP24, context(), now)["more_info_url"] for now in (NOW, NOW + 3_600)
    )
    assert claims(later)["exp"] - claims(first)["exp"] == 3_600


def test_unknown_client_is_left_out_of_the_token() -> None:
    assert set(claims(wallet_transaction(Sep.SEP24, context(), client_name=None)["more_info_url"])) == {
        "jti",
        "exp",
        "data",
    }


def test_client_the_body_goes_to_is_named_when_the_event_does_not() -> None:
    named = context(client_name="w")
    assert claims(wallet_transaction(Sep.SEP6, named)["more_info_url"])["client_name"] == "w"
    assert claims(wallet_transaction(Sep.SEP6, named, client_name="v")["more_info_url"])["client_name"] == "v"


def test_each_sep_has_its_own_settings_and_sep31_none() -> None:
    only_sep6 = PayloadContext(MoreInfoUrl("https://a.example/6", SECRET, 600, ()), None)
    assert wallet_transaction(Sep.SEP6, only_sep6)["more_info_url"].startswith(
        "https://a.example/6?transaction_id=t-1&token="
    )
    assert "more_info_url" not in wallet_transaction(Sep.SEP24, only_sep6)
    assert "more_info_url" not in wallet_transaction(Sep.SEP31, context())


@pytest.mark.parametrize(
    ("base_url", "start", "end"),
    [
        ("https://a.example/m", "https://a.example/m?transaction_id=t%2F1%26&token=", ""),
        ("https://a.example/m?lang=en", "https://a.example/m?lang=en&transaction_id=t%2F1%26&token=", ""),
        ("https://a.example/m#top", "https://a.example/m?transaction_id=t%2F1%26&token=", "#top"),
    ],
)
def test_parameters_join_what_the_base_url_has(base_url: str, start: str, end: str) -> None:
    url = wallet_transaction(Sep.SEP24, context(base_url), id="t/1&")["more_info_url"]
    assert url.startswith(start)
    assert url.endswith(end)
    assert claims(url)["jti"] == "t/1&"


@pytest.mark.parametrize(
    ("field", "value", "data"),
    [
        ("message", "m", {"message": "m"}),
        ("amount_in", {"amount": 1.10, "asset": "a"}, {"amount_in": "1.1"}),
        ("status_eta", 17, {"status_eta": "17"}),
        ("creator", {"id": "c"}, {"creator": '{"id":"c"}'}),
        ("required_info_updates", ["a"], {"required_info_updates": '["a"]'}),
        ("flag", True, {"flag": "true"}),
        ("message", "", {}),
        ("message", None, {}),
        ("absent", None, {}),
    ],
)
def test_named_members_are_in_the_data_as_strings(field: str, value: object, data: dict[str, str]) -> None:
    members: dict[str, Any] = {field: value}
    body = wallet_transaction(Sep.SEP24, context("https://a.example", field), **members)
    assert claims(body["more_info_url"])["data"] == data


@pytest.mark.parametrize("member", ["fundingMethod", "funding_method"])
@pytest.mark.parametrize("field", ["fundingMethod", "funding_method"])
def test_data_is_in_snake_case_however_it_is_spelled(member: str, field: str) -> None:
    body = wallet_transaction(Sep.SEP6, context("https://a.example", field), **{member: "SEPA"})
    assert claims(body["more_info_url"])["data"] == {"funding_method": "SEPA"}


def test_secret_is_never_shown() -> None:
    assert "signing" not in repr(context())
