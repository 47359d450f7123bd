"""``${NAME}`` and ``${NAME:default}``: resolved or refused by name, never used as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import SettingsError, load_settings
from settings.checks import check_url
from tests.unit.settings.loading import SEED, Loading

VARIABLES = {
    "HOST": "biz.example",
    "port.number": "8443",
    "WHICH": "HOST",
    "NESTED": "${HOST}:${PORT_NUMBER}",
    "EMPTY": "",
    "A": "${B}",
    "B": "${A}",
    "LAUGH0": "x",
    **{f"LAUGH{n}": f"${{LAUGH{n - 1}}}${{LAUGH{n - 1}}}" for n in range(1, 40)},
    "HIDDEN_IN_A_NAME": "${SECRET_WEB_ADMIN_TOKEN}",
    "SECRET_WEB_ADMIN_TOKEN": "hunter2-hunter2-hunter2",
}
RESOLVED = [
    ("https://${HOST}", "https://biz.example"),
    ("https://${HOST}:${PORT_NUMBER}/x", "https://biz.example:8443/x"),
    ("https://${host}:${port.number}", "https://biz.example:8443"),
    ("https://${NESTED}", "https://biz.example:8443"),
    ("https://${${WHICH}}", "https://biz.example"),
    ("${NOWHERE:https://default.example:81/x}", "https://default.example:81/x"),
    ("${NOWHERE:${NOT_HERE:https://${HOST}}}", "https://biz.example"),
    ("https://${HOST:${NOWHERE}}", "https://biz.example"),
    ("https://a.example${NOWHERE:}", "https://a.example"),
    ("https://a.example${EMPTY:/x}", "https://a.example"),
    ("https://a.example/{b}/$c", "https://a.example/%7Bb%7D/$c"),
]
REFUSED = [
    ("https://${NOWHERE}", "${NOWHERE} is not set"),
    ("https://${NOWHERE:${NOT_HERE}}", "${NOT_HERE} is not set"),
    ("https://${HOST", "without its }"),
    ("https://${HOST:${PORT_NUMBER}", "without its }"),
    ("https://${A}", "leads back to itself"),
    ("https://${LAUGH39}", "too many placeholders"),
    ("https://${SECRET_WEB_ADMIN_TOKEN}", "${SECRET_WEB_ADMIN_TOKEN} is a secret"),
    ("https://${secret.web.admin-token}", "is a secret"),
    ("https://${SECRET_OTHER:x}", "is a secret"),
    ("https://${web.admin_token}", "is a secret"),
    ("https://${HIDDEN_IN_A_NAME}", "is a secret"),
]


@pytest.mark.parametrize(("written", "expected"), RESOLVED)
@pytest.mark.parametrize("source", ["yaml", "environment", "dotenv"])
def test_a_placeholder_is_resolved_from_the_variables(
    loading: Loading, written: str, expected: str, source: str
) -> None:
    yaml, env, dotenv = None, dict(VARIABLES), ""
    match source:
        case "yaml":
            yaml = f"callback_api: {{base_url: '{written}'}}"
        case "environment":
            env["CALLBACK_API_BASE_URL"] = written
        case _:
            dotenv = f"CALLBACK_API_BASE_URL='{written}'"

    found = loading.load(yaml, env, dotenv)

    assert found.callback_api.base_url == check_url(expected)


@pytest.mark.parametrize(("written", "wrong"), REFUSED)
def test_what_cannot_be_resolved_is_refused_by_name(loading: Loading, written: str, wrong: str) -> None:
    problem = loading.problem(f"callback_api: {{base_url: '{written}'}}", VARIABLES)

    assert problem.key == "callback_api.base_url"
    assert wrong in problem.wrong
    assert "hunter2" not in str(problem)


def test_the_origin_names_the_variables_that_a_value_came_from(loading: Loading) -> None:
    found = loading.load("callback_api: {base_url: 'https://${NESTED}'}", VARIABLES)

    file = loading.folder / "anchor.yaml"
    assert found.origins["callback_api.base_url"] == (
        f"file {file}, environment NESTED, environment HOST, environment port.number"
    )


@pytest.mark.parametrize("place", ["items", "yaml text", "json text", "file"])
@pytest.mark.parametrize("is_set", [True, False])
def test_placeholders_in_clients_are_resolved_wherever_they_are_written(
    loading: Loading, place: str, is_set: bool
) -> None:
    entry = '{"name": "w", "type": "noncustodial", "domains": ["${WALLET}"], "callback_urls": {"sep24": "https://${WALLET}/cb"}}'
    env = {"SECRET_SEP10_SIGNING_SEED": SEED} | ({"WALLET": "w.example"} if is_set else {})
    yaml = None
    if place == "items":
        yaml = f"clients: {{items: [{entry}]}}"
    elif place == "file":
        (loading.folder / "clients.yaml").write_text(f"items: [{entry}]", encoding="utf-8")
        yaml = "clients: {type: file, value: clients.yaml}"
    else:
        env |= {"CLIENTS_TYPE": place.removesuffix(" text"), "CLIENTS_VALUE": f'{{"items": [{entry}]}}'}

    if is_set:
        (client,) = loading.load(yaml, env).clients
        assert client.domains == ("w.example",)
        assert client.callback_urls.sep24 == "https://w.example/cb"
    else:
        problem = loading.problem(yaml, env)
        assert problem.key.startswith("clients.")
        assert "${WALLET} is not set" in problem.wrong


def test_an_address_whose_placeholder_is_empty_is_refused_as_empty(loading: Loading) -> None:
    enabled = {"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true"}

    problem = loading.problem("callback_api: {base_url: '${NOWHERE:}'}", enabled)

    assert (problem.key, problem.wrong) == ("callback_api.base_url", "is empty")


def test_a_secret_is_taken_literally(loading: Loading) -> None:
    found = loading.load(env={"SECRET_WEB_ADMIN_TOKEN": "a${HOME}-and-${more", "HOME": "/root"})

    assert found.web.admin_token is not None
    assert found.web.admin_token.get_secret_value() == "a${HOME}-and-${more"


@given(text=st.text(st.sampled_from(list("${}:ABHx")), max_size=30))
def test_no_text_is_used_with_a_placeholder_in_it(text: str) -> None:
    try:
        found = load_settings(env={"DELIVERY_USER_AGENT": text, "A": "${B:x}", "H": "h"})
    except SettingsError:
        return
    assert "${" not in found.delivery.user_agent
