"""The business server: a default and an address that releases of the platform differ in."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from settings.callback_api import event_url
from tests.unit.settings.loading import Loading, keys

ENABLED = "event_processor.callback_api_request.enabled"
ON = {"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true"}


@pytest.mark.parametrize(
    ("base_url", "root", "append"),
    [
        ("http://b:8081", "http://b:8081/event", "http://b:8081/event"),
        ("http://b:8081/", "http://b:8081/event", "http://b:8081/event"),
        ("http://b/callback", "http://b/event", "http://b/callback/event"),
        ("http://b/callback/", "http://b/event", "http://b/callback/event"),
        # okhttp's addPathSegment takes the place of one empty segment, not of two.
        ("http://b/callback//", "http://b/event", "http://b/callback//event"),
        ("https://b/v1?tenant=7&x=%2F", "https://b/event", "https://b/v1/event?tenant=7&x=%2F"),
        ("https://b?tenant=7", "https://b/event", "https://b/event?tenant=7"),
    ],
)
def test_an_event_goes_where_the_platform_sends_it(base_url: str, root: str, append: str) -> None:
    assert event_url(base_url, "root") == root
    assert event_url(base_url, "append") == append


@pytest.mark.parametrize("url", ["http://b:8081/callback", "http://b/x/y/", "https://b/v1?tenant=7"])
def test_a_path_without_a_choice_warns_and_names_both_addresses(loading: Loading, url: str) -> None:
    (warning,) = loading.load(env=ON | {"CALLBACK_API_BASE_URL": url}).warnings

    assert warning.key == "callback_api.base_url"
    assert event_url(url, "root") in warning.wrong
    assert event_url(url, "append") in warning.wrong
    assert "callback_api.event_path_mode" in warning.right


@pytest.mark.parametrize("url", ["http://b:8081", "http://b:8081/", "http://b?x=1"])
@pytest.mark.parametrize("mode", ["", "root", "append"])
def test_without_a_path_there_is_nothing_to_choose(loading: Loading, url: str, mode: str) -> None:
    env = ON | {"CALLBACK_API_BASE_URL": url, "CALLBACK_API_EVENT_PATH_MODE": mode}

    assert loading.load(env=env).warnings == ()


@pytest.mark.parametrize("mode", ["root", "append"])
def test_a_choice_ends_the_warning(loading: Loading, mode: str) -> None:
    env = ON | {"CALLBACK_API_BASE_URL": "http://b/callback", "CALLBACK_API_EVENT_PATH_MODE": mode}

    found = loading.load(env=env)

    assert found.warnings == ()
    assert (
        urlsplit(found.callback_api.event_url).path == {"root": "/event", "append": "/callback/event"}[mode]
    )


def test_a_business_server_that_is_set_up_and_left_off_by_default_warns_with_the_reason(
    loading: Loading,
) -> None:
    (warning,) = loading.load(env={"EVENTS_ENABLED": "true", "CALLBACK_API_BASE_URL": "http://b/x"}).warnings

    assert warning.key == ENABLED
    assert "http://b/x gets nothing" in warning.wrong
    assert "2.12" in warning.wrong


@pytest.mark.parametrize("given", ["true", "false"])
def test_a_decision_on_the_business_server_ends_that_warning(loading: Loading, given: str) -> None:
    env = {"CALLBACK_API_BASE_URL": "http://b", "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": given}

    assert loading.load(env=env).warnings == ()


@pytest.mark.parametrize(
    ("key", "needed"),
    [
        ("callback_api.base_url", ENABLED),
        ("events.queue.kafka.bootstrap_server", "events.enabled"),
        ("events.queue.kafka.bootstrapServer", "events.enabled"),
    ],
)
@pytest.mark.parametrize("value", ["", "''", "' '"])
def test_an_empty_address_is_refused_where_it_is_dialled(
    loading: Loading, key: str, needed: str, value: str
) -> None:
    rest = {"callback_api.base_url": "http://b", ENABLED: "true", "events.enabled": "true"}
    rest.pop(key, None)

    problem = loading.problem(f"{key}: {value}", env=rest | {needed: "true"})
    of_variable = loading.problem(env={key: value.strip("'"), needed: "true"} | rest)

    assert problem.wrong == of_variable.wrong == "is empty"
    assert problem.origin == f"file {loading.folder / 'anchor.yaml'}"
    assert of_variable.origin == f"environment {key}"
    assert keys(loading.load(f"{key}: {value}", env={needed: "false"}).warnings) == []


def test_an_empty_address_takes_nothing_from_a_weaker_source(loading: Loading) -> None:
    found = loading.load("callback_api: {base_url: 'http://b'}", env=ON | {"CALLBACK_API_BASE_URL": ""})

    assert found.callback_api.base_url == "http://b"
