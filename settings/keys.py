"""The table of keys, read off the models: dotted name, variable, marks; and their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.clients import ClientsSource
from settings.fields import Alias, NoEffect, Secret
from settings.model import Settings
from settings.relaxed import to_snake, uniform
from settings.text_yaml import load_text

_NOT_KEYS = frozenset({"origins", "warnings", "files"})


@dataclass(frozen=True, slots=True)
class Key:
    """One setting that holds a value."""

    name: str
    """Dotted: ``events.queue.type``."""
    variable: str
    """In the environment: ``EVENTS_QUEUE_TYPE``, for a secret ``SECRET_…``."""
    is_secret: bool = False
    aliases: tuple[str, ...] = ()
    """Other dotted spellings."""
    older: str | None = None
    """Its dotted name in Anchor Platform 2.0."""
    no_effect: str | None = None
    """Why an accepted key changes nothing."""

    @property
    def other_names(self) -> tuple[str, ...]:
        """Aliases and the older name."""
        return self.aliases if self.older is None else (*self.aliases, self.older)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that sets it, the proper one first, without ``SECRET_…_FILE``."""
        return (self.variable, *map(_posix_form, self.other_names))


OLDER_SECTIONS = {"events.queue.": "events.publisher."}
"""How Anchor Platform 2.0 called a section."""


def variable_of(name: str) -> str:
    """The variable for a dotted key, and the one form that all spellings of a variable share."""
    form = _posix_form(name)
    return _dashless_forms().get(form, form)


def known_key(written: str) -> str:
    """The key or section that this is a spelling of, older ones included; else the name in snake case."""
    return _spellings().get(uniform(written)) or to_snake(written)


@cache
def all_keys() -> Mapping[str, Key]:
    """Every key by its dotted name, in the order of the models."""
    return {key.name: key for key in _walk(Settings, "")}


@cache
def sections() -> frozenset[str]:
    """Every dotted name that has keys below it, like ``events`` and ``events.queue``."""
    return frozenset(
        ".".join(parts[:length])
        for parts in (name.split(".") for name in all_keys())
        for length in range(1, len(parts))
    )


@cache
def defaults() -> Mapping[str, Any]:
    """The dotted keys of ``defaults.yaml`` with their values."""
    text = resources.files("settings").joinpath("defaults.yaml").read_text(encoding="utf-8")
    return dict(flatten(load_text(text)))


def _posix_form(name: str) -> str:
    return to_snake(name).replace(".", "_").upper()


@cache
def _spellings() -> Mapping[str, str]:
    """Uniform names of all keys and sections, with what they name; an alias or older name is its own."""
    others = [other for key in all_keys().values() for other in key.other_names]
    return {uniform(name): name for name in [*others, *sections(), *all_keys()]}


@cache
def _dashless_forms() -> Mapping[str, str]:
    """Variables as Spring writes them, without the dashes inside a part: ``CALLBACKAPI_BASEURL``."""
    forms: dict[str, str] = {}
    for key in all_keys().values():
        if key.is_secret:
            continue
        for name in (key.name, *key.other_names):
            parts = [{part, part.replace("_", "")} for part in name.upper().split(".")]
            proper = name.upper().replace(".", "_")
            forms |= {"_".join(form): proper for form in product(*parts) if "_".join(form) != proper}
    return forms


def flatten(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings, down to the known keys; dots inside a key work as well."""
    for part, value in tree.items():
        name = f"{prefix}{part}"
        if isinstance(value, Mapping) and value and known_key(name) not in all_keys():
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings out of dotted keys, as pydantic wants them."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for part, field in model.model_fields.items():
        name = f"{prefix}{part}"
        if name in _NOT_KEYS:
            continue
        if name == "clients":
            yield from _walk(ClientsSource, "clients.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _walk(field.annotation, f"{name}.")
        else:
            yield _key(name, prefix, field)


def _key(name: str, prefix: str, field: FieldInfo) -> Key:
    variable, is_secret, no_effect = _posix_form(name), False, None
    aliases: list[str] = []
    for mark in field.metadata:
        match mark:
            case Secret(variable=of_secret):
                variable, is_secret = of_secret, True
            case NoEffect(why=why):
                no_effect = why
            case Alias(name=other):
                aliases.append(f"{prefix}{other}")
            case _:
                pass
    return Key(name, variable, is_secret, tuple(aliases), _older_name(name, is_secret), no_effect)


def _older_name(name: str, is_secret: bool) -> str | None:
    for present, older in OLDER_SECTIONS.items():
        if name.startswith(present) and not is_secret:
            return f"{older}{name.removeprefix(present)}"
    return None
