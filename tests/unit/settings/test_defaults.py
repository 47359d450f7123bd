from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import resources

from pydantic import BaseModel

import settings
from settings import Settings
from settings.clients import CallbackUrls, Client
from settings.keys import all_keys, defaults
from tests.unit.settings.loading import Loading

REFERENCE = resources.files("settings").joinpath("defaults.yaml").read_text(encoding="utf-8")


def test_defaults_file_and_models_have_the_same_keys() -> None:
    assert set(defaults()) == {key.name for key in all_keys().values() if not key.is_secret}


def test_defaults_file_mentions_every_secret_and_every_member_of_a_client() -> None:
    secrets = {key.variable for key in all_keys().values() if key.is_secret}
    members = {*Client.model_fields, *CallbackUrls.model_fields, "signing_key", "domain", "callback_url"}

    assert {name for name in secrets | members if name not in REFERENCE} == set()


def test_defaults_file_explains_every_section() -> None:
    lines = REFERENCE.splitlines()
    keys_without_a_comment_near = [
        line
        for number, line in enumerate(lines)
        if line.strip()
        and not line.lstrip().startswith("#")
        and line.rstrip().endswith(":")
        and line[0] != " "
        if not any("#" in near for near in lines[number - 1 : number + 3])
    ]
    assert keys_without_a_comment_near == []


def test_models_have_no_defaults_but_none_for_secrets() -> None:
    own = {f"{name}" for name, default in _own_defaults(Settings, "") if default is not None}
    secrets = {key.name for key in all_keys().values() if key.is_secret}

    assert own == set()
    assert {name for name, _ in _own_defaults(Settings, "")} == secrets


def test_no_two_keys_share_a_variable() -> None:
    variables = Counter(variable for key in all_keys().values() for variable in key.variables)

    assert [variable for variable, count in variables.items() if count > 1] == []


def test_defaults_alone_are_right_and_give_no_warning(loading: Loading) -> None:
    found = loading.load()

    assert found.warnings == ()
    assert found.clients == ()
    assert found.events.enabled is False
    assert set(found.origins.values()) == {"default", "not set"}


def test_every_key_has_an_origin(loading: Loading) -> None:
    assert set(loading.load().origins) == {*all_keys(), "clients"}


def test_the_package_exports_what_others_rely_on() -> None:
    assert sorted(settings.__all__) == ["Client", "Problem", "Settings", "SettingsError", "load_settings"]


def _own_defaults(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, object]]:
    for part, field in model.model_fields.items():
        name = f"{prefix}{part}"
        if name in {"origins", "warnings", "files", "clients"}:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _own_defaults(field.annotation, f"{name}.")
        elif not field.is_required():
            yield name, field.default
