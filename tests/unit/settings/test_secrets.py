from __future__ import annotations

from pathlib import Path

import pytest
from stellar_sdk import Keypair

from settings import Settings
from settings.keys import Key, all_keys
from settings.overview import MASK, overview
from tests.unit.settings.loading import SEED, Loading

SECRETS = [key for key in all_keys().values() if key.is_secret]
VALUES = {key.variable: f"hunter2-{number:032}" for number, key in enumerate(SECRETS)}
VALUES["SECRET_SEP10_SIGNING_SEED"] = SEED
VALUES["SECRET_SEP10_SIGNING_SEED_NEXT"] = Keypair.random().secret
BESIDE = {
    "SECRET_SEP10_SIGNING_SEED_NEXT": {"SEP10_SIGNING_SEED_NEXT_AT": "2026-12-01T10:00:00Z"},
    "SECRET_DELIVERY_PROXY_PASSWORD": {"DELIVERY_PROXY_URL": "http://user@proxy.example:3128"},
}
"""What a secret is of no use without."""

by_variable = pytest.mark.parametrize("key", SECRETS, ids=lambda key: key.variable)


def secret_of(settings: Settings, key: Key) -> str | None:
    value: object = settings
    for part in key.name.split("."):
        value = getattr(value, part)
    return value.get_secret_value() if value is not None else None  # type: ignore[attr-defined]


def test_the_secrets_are_the_documented_ones() -> None:
    assert {key.variable for key in SECRETS} == {
        "SECRET_CALLBACK_API_AUTH_SECRET",
        "SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET",
        "SECRET_DELIVERY_PROXY_PASSWORD",
        "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD",
        "SECRET_EVENTS_QUEUE_KAFKA_USERNAME",
        "SECRET_SEP10_SIGNING_SEED",
        "SECRET_SEP10_SIGNING_SEED_NEXT",
        "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET",
        "SECRET_SEP6_MORE_INFO_URL_JWT_SECRET",
        "SECRET_SSL_KEYSTORE_PASSWORD",
        "SECRET_SSL_KEY_PASSWORD",
        "SECRET_SSL_TRUSTSTORE_PASSWORD",
        "SECRET_WEB_ADMIN_TOKEN",
    }


@by_variable
def test_a_secret_comes_from_the_environment_or_dotenv(loading: Loading, key: Key) -> None:
    value = VALUES[key.variable]

    assert secret_of(loading.load(env={key.variable: value}), key) == value
    assert secret_of(loading.load(dotenv=f"{key.variable}={value}"), key) == value
    assert secret_of(loading.load(dotenv=f"{key.variable}=x", env={key.variable: value}), key) == value


@by_variable
def test_a_secret_may_stand_in_a_file_of_its_own(loading: Loading, tmp_path: Path, key: Key) -> None:
    (tmp_path / "secret").write_text(f"{VALUES[key.variable]}\n", encoding="utf-8")

    env = {f"{key.variable}_FILE": str(tmp_path / "secret")} | BESIDE.get(key.variable, {})
    found = loading.load(env=env)

    assert secret_of(found, key) == VALUES[key.variable]
    assert found.origins[key.name] == f"environment {key.variable}_FILE"
    assert found.warnings == ()


@by_variable
def test_a_secret_in_yaml_is_a_problem_that_does_not_show_it(loading: Loading, key: Key) -> None:
    problem = loading.problem(f"{key.name}: {VALUES[key.variable]}")

    assert problem.key == key.name
    assert problem.right == f"the variable {key.variable}"
    assert VALUES[key.variable] not in str(problem)


@by_variable
@pytest.mark.parametrize("spelling", ["secret.", "SECRET_"])
def test_a_secret_of_the_platform_in_yaml_is_dropped_with_a_warning_as_there(
    loading: Loading, key: Key, spelling: str
) -> None:
    name = key.variable if spelling == "SECRET_" else f"secret.{key.variable.removeprefix('SECRET_').lower()}"

    found = loading.load(f"{name}: {VALUES[key.variable]}")

    assert [warning.key for warning in found.warnings] == [name]
    assert key.variable in found.warnings[0].right
    assert VALUES[key.variable] not in str(found.warnings)
    assert secret_of(found, key) is None


def test_an_empty_secret_key_in_yaml_is_passed_over(loading: Loading) -> None:
    assert loading.load("events: {queue: {kafka: {username: , password: }}}").warnings == ()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(None, "No such file"), ("", "is empty"), ("\n", "is empty"), (b"\xff\xfe\x00", "UTF-8")],
)
def test_a_secret_file_that_gives_none_is_a_problem(
    loading: Loading, tmp_path: Path, content: str | bytes | None, wrong: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    problem = loading.problem(env={"SECRET_WEB_ADMIN_TOKEN_FILE": str(path)})

    assert problem.key == "SECRET_WEB_ADMIN_TOKEN_FILE"
    assert wrong in problem.wrong
    assert str(path) in problem.wrong


@pytest.mark.parametrize("content", [None, "", "\n"])
@pytest.mark.parametrize(
    "key", [key for key in SECRETS if key.name.endswith("_next")], ids=lambda key: key.variable
)
def test_the_file_of_a_secret_to_come_may_be_there_before_it(
    loading: Loading, tmp_path: Path, key: Key, content: str | None
) -> None:
    path = tmp_path / "next"
    if content is not None:
        path.write_text(content)
    env = {"SECRET_SEP10_SIGNING_SEED": SEED, f"{key.variable}_FILE": str(path)}

    settings = loading.load(env=env)
    assert secret_of(settings, key) is None
    assert settings.warnings == ()
    assert path in settings.files, "a reload looks at it"
    path.write_text(f"{VALUES[key.variable]}\n")
    assert secret_of(loading.load(env={**env, **BESIDE[key.variable]}), key) == VALUES[key.variable]


def test_a_planned_change_without_its_seed_is_a_problem(loading: Loading, tmp_path: Path) -> None:
    beside = BESIDE["SECRET_SEP10_SIGNING_SEED_NEXT"]
    env = {"SECRET_SEP10_SIGNING_SEED": SEED, "SECRET_SEP10_SIGNING_SEED_NEXT_FILE": str(tmp_path / "none")}
    assert loading.problem(env={**env, **beside}).key.upper().endswith("SIGNING_SEED_NEXT")


def test_a_secret_beside_its_file_is_a_problem(loading: Loading) -> None:
    env = {"SECRET_WEB_ADMIN_TOKEN": "hunter2-hunter2-", "SECRET_WEB_ADMIN_TOKEN_FILE": "/run/secret"}

    problem = loading.problem(env=env)

    assert problem.key == "SECRET_WEB_ADMIN_TOKEN"
    assert "hunter2" not in str(problem)


def test_no_secret_shows_in_any_rendering_of_the_settings(loading: Loading) -> None:
    found = loading.load(env=VALUES)
    renderings = [
        str(found),
        repr(found),
        str(found.model_dump()),
        found.model_dump_json(),
        str(found.origins),
        str(found.warnings),
        str(list(overview(found))),
    ]

    assert [text for text in renderings for secret in VALUES.values() if secret in text] == []


def test_no_secret_shows_in_the_problems_of_a_wrong_configuration(loading: Loading) -> None:
    wrong = {"EVENTS_ENABLED": "x", "DELIVERY_MAX_IN_FLIGHT": "x", "SECRET_SEP10_SIGNING_SEED": "hunter2"}

    text = "\n".join(str(problem) for problem in loading.problems(env=VALUES | wrong))

    assert "hunter2" not in text


def test_the_overview_masks_set_secrets_and_has_every_key(loading: Loading) -> None:
    entries = {entry.key: entry for entry in overview(loading.load(env=VALUES))}

    assert {name for name in all_keys() if not name.startswith("clients.")} == set(entries)
    assert {entries[key.name].value for key in SECRETS} == {MASK}
    assert entries["web.admin_token"].origin == "environment SECRET_WEB_ADMIN_TOKEN"
