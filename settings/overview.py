"""Every key with its value and where it came from, for people to read; secrets masked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from pydantic import SecretStr

from settings.clients import Client
from settings.keys import all_keys
from settings.model import Settings

MASK = "********"

Plain: TypeAlias = str | int | float | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the overview."""

    key: str
    value: Plain
    origin: str
    no_effect: str | None = None
    """Why an accepted key changes nothing."""


def overview(settings: Settings) -> Iterator[Entry]:
    """Every key in the order of ``defaults.yaml``'s sections, then each client's."""
    for key in all_keys().values():
        if not key.name.startswith("clients."):
            origin = settings.origins.get(key.name, "default")
            yield Entry(key.name, _plain(_value(settings, key.name)), origin, key.no_effect)
    origin = settings.origins.get("clients", "default")
    for index, client in enumerate(settings.clients):
        yield from _client(client, f"clients.items[{index}]", origin)


def _client(client: Client, prefix: str, origin: str) -> Iterator[Entry]:
    why = "the Anchor Platform checks destinations"
    yield Entry(f"{prefix}.name", client.name, origin)
    yield Entry(f"{prefix}.type", client.type, origin)
    yield Entry(f"{prefix}.signing_keys", list(client.signing_keys), origin)
    yield Entry(f"{prefix}.domains", list(client.domains), origin)
    for sep, url in client.callback_urls.items():
        yield Entry(f"{prefix}.callback_urls.{sep}", url, origin)
    yield Entry(f"{prefix}.allow_any_destination", client.allow_any_destination, origin, why)
    yield Entry(f"{prefix}.destination_accounts", list(client.destination_accounts), origin, why)


def _value(settings: Settings, name: str) -> object:
    value: object = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _plain(value: object) -> Plain:
    match value:
        case SecretStr():
            return MASK
        case tuple():
            return [str(part) for part in value]
        case Path():
            return str(value)
        case datetime():
            return value.isoformat()
        case None | str() | bool() | int() | float():
            return value
        case _:
            raise TypeError(f"no way to show a {type(value).__name__}")
