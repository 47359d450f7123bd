"""The table of keys, read off the models: dotted name, variable, marks; and their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.clients import ClientsSource
from settings.fields import Alias, NoEffect, Secret
from settings.model import Settings
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
    no_effect: str | None = None
    """Why an accepted key changes nothing."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that sets it, without ``SECRET_…_FILE``."""
        return (self.variable, *(variable_of(alias) for alias in self.aliases))


def variable_of(name: str) -> str:
    """The variable for a dotted key, and the one form that all spellings of a variable share."""
    return name.replace(".", "_").replace("-", "_").upper()


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


def flatten(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings, down to the known keys; dots inside a key work as well."""
    for part, value in tree.items():
        name = f"{prefix}{part}"
        if isinstance(value, Mapping) and value and name not in all_keys():
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
    variable, is_secret, no_effect = variable_of(name), False, None
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
    return Key(name, variable, is_secret, tuple(aliases), no_effect)
