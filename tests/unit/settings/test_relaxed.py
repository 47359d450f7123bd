"""One key, one value, in every spelling that Spring and the Anchor Platform take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from settings import Settings, SettingsError
from settings.keys import Key, all_keys, defaults
from settings.relaxed import to_snake
from tests.unit.settings.loading import Loading
from tests.unit.settings.test_wrong_values import ONE_WRONG_VALUE_PER_KEY

PLAIN = [key for name, key in all_keys().items() if name in ONE_WRONG_VALUE_PER_KEY]


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "kebab": lambda name: name.replace("_", "-"),
    "camel": camel,
    "upper": str.upper,
    "pascal": lambda name: ".".join(part[:1].upper() + part[1:] for part in camel(name).split(".")),
    "environment": lambda name: name.replace(".", "_").upper(),
    "environment without dashes": lambda name: name.replace("_", "").replace(".", "_").upper(),
}


def choices(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for part, field in model.model_fields.items():
        annotation: Any = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from choices(annotation, f"{prefix}{part}.")
        elif get_origin(annotation) is Literal:
            yield from ((f"{prefix}{part}", value) for value in get_args(annotation))


def test_snake_case_is_the_platforms() -> None:
    names = ["bootstrapServer", "bootstrap-server", "useIAM", "use_IAM", "sslKeystoreLocation", "SECRET_X"]

    assert [to_snake(name) for name in names] == [
        "bootstrap_server",
        "bootstrap_server",
        "use_iam",
        "use_iam",
        "ssl_keystore_location",
        "secret_x",
    ]


@pytest.mark.parametrize(
    ("source", "spelling"),
    [
        *(("yaml", name) for name in SPELLINGS if not name.startswith("environment")),
        *(("variable", name) for name in SPELLINGS),
    ],
)
def test_every_key_is_known_in_every_spelling(loading: Loading, source: str, spelling: str) -> None:
    if source == "yaml" and spelling.startswith("environment"):
        pytest.skip("names of variables") if False else None
        return
    written = {SPELLINGS[spelling](key.name): ONE_WRONG_VALUE_PER_KEY[key.name] for key in PLAIN}

    if source == "yaml":
        problems = loading.problems("\n".join(f"{name}: '{value}'" for name, value in written.items()))
    else:
        problems = loading.problems(env=written)

    assert {problem.key for problem in problems} == {key.name for key in PLAIN}


@pytest.mark.parametrize(("key", "value"), list(choices(Settings)))
def test_every_choice_may_be_written_in_any_case_and_with_either_dash(
    loading: Loading, key: str, value: str
) -> None:
    for written in {value, value.upper(), value.lower(), value.replace("_", "-"), camel(value.lower())}:
        assert unknown_values(loading, {key: f" {written} "}) == []


def unknown_values(loading: Loading, values: dict[str, str]) -> list[str]:
    """What is said of values as such; a choice may also need other keys, which is no matter here."""
    try:
        loading.load(env=values)
    except SettingsError as error:
        return [str(problem) for problem in error.problems if "is not known" in problem.wrong]
    return []


def test_members_of_a_client_may_be_written_in_any_case(loading: Loading) -> None:
    found = loading.load(
        """
        clients:
          items:
            - {Name: a, type: NON_CUSTODIAL, domains: [a.example], callbackUrls: {SEP24: 'https://a.example/cb'}}
            - {name: b, type: non-custodial, Domain: b.example, callback-urls: {sep-24: 'https://b.example/cb'}}
        """,
        env={"SECRET_SEP10_SIGNING_SEED": "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"},
    )

    urls = [client.callback_urls.sep24 for client in found.clients]
    assert urls == ["https://a.example/cb", "https://b.example/cb"]


@pytest.mark.parametrize(
    "prefix", ["clients.items[0].", "CLIENTS_ITEMS_0_", "CLIENTS_ITEMS[0]_", "clients[0]."]
)
def test_indexed_variables_of_a_client_may_be_written_in_any_case(loading: Loading, prefix: str) -> None:
    upper = prefix.isupper()
    names = ["name", "type", "domains[0]", "callbackUrls.sep24", "allowAnyDestination"]
    values = ["w", "non-custodial", "w.example", "https://w.example/cb", "true"]
    written = {
        f"{prefix}{name.upper().replace('.', '_') if upper else name}": value
        for name, value in zip(names, values, strict=True)
    }

    found = loading.load(
        env=written
        | {"SECRET_SEP10_SIGNING_SEED": "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"}
    )

    (client,) = found.clients
    assert client.domains == ("w.example",)
    assert client.callback_urls.sep24 == "https://w.example/cb"
    assert client.allow_any_destination


@pytest.mark.parametrize(
    "yaml",
    [
        "callback_api: {base_url: 'http://a', baseUrl: 'http://b'}",
        "callback_api: {base_url: 'http://a'}\ncallback-api: {base-url: 'http://b'}",
        "clients: [{name: a, Name: b, type: noncustodial, domain: a.example}]",
        "events: {queue: {type: kafka}, publisher: {type: kafka}}",
    ],
)
def test_one_key_in_two_spellings_is_a_problem(loading: Loading, yaml: str) -> None:
    assert "written twice" in loading.problem(yaml).wrong


def test_a_later_document_wins_over_an_earlier_one_whatever_the_spelling(loading: Loading) -> None:
    yaml = "topics: {partitions: 3, source: A}\n---\n---\nTopics: {partitions: 4}\n"

    found = loading.load(yaml)

    assert (found.topics.partitions, found.topics.source) == (4, "A")


def test_a_broken_second_document_is_a_problem(loading: Loading) -> None:
    assert "no keys at its top level" in loading.problem("topics: {}\n---\njust text").wrong


def test_no_variable_means_two_keys_in_any_spelling() -> None:
    forms: dict[str, str] = {}
    for key in all_keys().values():
        for spelling in SPELLINGS.values():
            form = spelling(key.name).replace(".", "_").replace("-", "_").upper()
            assert forms.setdefault(form, key.name) == key.name


def test_the_names_of_2_0_set_the_keys_of_today_and_say_so(loading: Loading) -> None:
    older: list[Key] = [key for key in all_keys().values() if key.older is not None]
    wanted = {key.name: str(defaults()[key.name] or "x") for key in older if defaults()[key.name] is not None}

    found = loading.load(env={all_keys()[name].older or "": value for name, value in wanted.items()})

    assert {f"environment {all_keys()[name].older}" for name in wanted} <= set(found.origins.values())
    assert {warning.right for warning in found.warnings} == {all_keys()[name].variable for name in wanted}


def test_the_topics_of_2_0_are_pointed_at(loading: Loading) -> None:
    (warning,) = loading.load(
        "events: {event_type_to_queue: {quote_created: ap_event_quote_created}}"
    ).warnings

    assert warning.key == "events.event_type_to_queue.quote_created"
    assert "topics.source" in warning.right
