"""Which destinations a change concerns, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventproc.destinations import build_destinations
from eventproc.reload_plan import Configuration, ReloadPlan, certificate_files, plan_reload
from settings import load_settings
from tests.servers.anchor_env import anchor_env, noncustodial_client

BUSINESS, A24, A6, B24 = "callback-api", "client.a.sep24", "client.a.sep6", "client.b.sep24"


def client(name: str, url: str = "https://one.example", *, seps: tuple[str, ...] = ("sep6", "sep24")) -> Any:
    return noncustodial_client(name, url, domains=[f"{name}.co"], seps=seps)


def configuration(*clients: Any, business_url: str | None = "https://b.example", **env: str) -> Configuration:
    given = anchor_env("localhost:1", business_url=business_url, clients=clients, extra=env)
    settings = load_settings(env=given)
    return Configuration(settings, build_destinations(settings))


A = client("a")


def plan(before: Configuration, after: Configuration) -> dict[str, set[str]]:
    found = plan_reload(before, after)
    return {"added": set(found.added), "changed": set(found.changed), "removed": set(found.removed)}


def changed(**env: str) -> set[str]:
    found = plan(configuration(A), configuration(A, **env))
    assert not found["added"]
    assert not found["removed"]
    return found["changed"]


def test_the_same_is_nothing_to_do() -> None:
    assert plan_reload(configuration(A), configuration(A)) == ReloadPlan()


@pytest.mark.parametrize(
    "env",
    [
        {"SECRET_CALLBACK_API_AUTH_SECRET": "another-secret-of-more-than-32-bytes"},
        {"CALLBACK_API_AUTH_TYPE": "api_key"},
        {"CALLBACK_API_AUTH_JWT_HTTP_HEADER": "X-Auth"},
        {"CALLBACK_API_CHECK_CERTIFICATE": "false"},
        {"CALLBACK_API_BASE_URL": "https://c.example"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_the_business_server_s_settings_concern_it_alone(env: dict[str, str]) -> None:
    assert changed(**env) == {BUSINESS}


@pytest.mark.parametrize(
    "env",
    [
        {"SECRET_SEP10_SIGNING_SEED": "SAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC5MY"},
        {
            "SECRET_SEP10_SIGNING_SEED_NEXT": "SAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC5MY",
            "SEP10_SIGNING_SEED_NEXT_AT": "2026-12-01T10:00:00Z",
        },
        {"SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": "another-secret-of-more-than-32-bytes"},
        {"SEP6_MORE_INFO_URL_BASE_URL": "https://m.example"},
        {"CLIENT_STATUS_CALLBACK_LEGACY_SIGNATURE_HEADER": "true"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_what_wallets_get_concerns_all_wallets_and_nobody_else(env: dict[str, str]) -> None:
    assert changed(**env) == {A24, A6}


def test_how_is_delivered_concerns_all() -> None:
    assert changed(DELIVERY_REQUEST_TIMEOUT_SECONDS="17") == {BUSINESS, A24, A6}


def test_who_gets_what_concerns_no_destination() -> None:
    assert changed(DELIVERY_CLIENT_ROUTING="broadcast") == set()
    moved = noncustodial_client("a", "https://one.example", domains=["other.co"], seps=["sep6", "sep24"])
    assert plan_reload(configuration(A), configuration(moved)) == ReloadPlan()


def test_one_url_concerns_one_destination() -> None:
    other = client("a")
    other["callback_urls"]["sep24"] = "https://elsewhere.example"
    assert plan(configuration(A), configuration(other)) == {
        "added": set(),
        "changed": {A24},
        "removed": set(),
    }


def test_clients_urls_and_the_business_server_come_and_go() -> None:
    before = configuration(A)
    after = configuration(client("a", seps=("sep6",)), client("b", seps=("sep24",)), business_url=None)
    assert plan(before, after) == {"added": {B24}, "changed": set(), "removed": {A24, BUSINESS}}
    assert plan(after, before) == {"added": {A24, BUSINESS}, "changed": set(), "removed": {B24}}


def test_a_certificate_with_another_content_concerns_who_uses_it(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    here = configuration(A, CALLBACK_API_CA_CERTIFICATE_PATH=str(ca))
    assert plan_reload(here, here, {ca}).changed == (BUSINESS,)
    assert plan_reload(here, here, {tmp_path / "clients.json"}) == ReloadPlan()
    files = {id_: certificate_files(one) for id_, one in here.destinations.items()}
    assert files == {BUSINESS: {ca}, A24: frozenset(), A6: frozenset()}
