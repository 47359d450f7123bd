"""What changed between two configurations, and how much of it a running worker can take over.

``LIVE`` is the list: a key that is not on it, new ones included, needs a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from settings.clients import Client
from settings.fields import Section
from settings.keys import all_keys
from settings.model import Settings

LIVE: Final = (
    "callback_api",
    "client_status_callback",
    "event_processor.callback_api_request",
    "event_processor.client_status_callback",
    "sep6",
    "sep10",
    "sep24",
    "delivery.client_routing",
    "delivery.shared_customers",
    "delivery.skip_unchanged_customers",
    "delivery.order",
    "delivery.max_in_flight",
    "delivery.max_waiting",
    "delivery.rate_limit_per_second",
    "delivery.connect_timeout_seconds",
    "delivery.request_timeout_seconds",
    "delivery.response_excerpt_bytes",
    "delivery.retry",
    "delivery.breaker",
    "delivery.allow_private_networks",
    "delivery.allowed_networks",
    "delivery.http_client",
    "delivery.proxy_url",
    "delivery.proxy_password",
    "delivery.user_agent",
    # For topics that are made from then on, as ever.
    "topics.partitions",
    "topics.replication_factor",
    "topics.retention_hours",
    "reload",
)
"""Keys, and sections with all keys below them, that count from a reload on. ``clients`` do, too."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload brings.

    ``settings`` are those wanted, but with the running value of each key in ``needs_restart``. ``taken`` are
    the other keys that changed; a client is ``clients.<name>``. No list has a value in it.
    """

    settings: Settings
    taken: tuple[str, ...]
    needs_restart: tuple[str, ...]


def compare(running: Settings, wanted: Settings) -> Changes:
    """What becomes of ``running`` when ``wanted`` is read."""
    settings, taken, needs_restart = wanted, [], []
    for key in all_keys().values():
        before, after = _value(running, key.name), _value(wanted, key.name)
        if before == after or key.no_effect is not None:
            continue
        if is_live(key.name):
            taken.append(key.variable if key.is_secret else key.name)
        else:
            needs_restart.append(key.variable if key.is_secret else key.name)
            settings = _replaced(settings, key.name.split("."), before)
    taken += _changed_clients(running.clients, wanted.clients)
    return Changes(settings, tuple(taken), tuple(needs_restart))


def is_live(key: str) -> bool:
    """Whether a running worker takes this key over."""
    return any(key == live or key.startswith(f"{live}.") for live in LIVE)


def _changed_clients(before: tuple[Client, ...], after: tuple[Client, ...]) -> list[str]:
    """Added, removed and changed ones; only moved: ``clients``, as the first that an event fits gets it."""
    old, new = _by_name(before), _by_name(after)
    changed = [f"clients.{name}" for name in {**old, **new} if old.get(name) != new.get(name)]
    return ["clients"] if not changed and before != after else changed


def _by_name(clients: tuple[Client, ...]) -> Mapping[str, Client]:
    return {client.name: client for client in clients}


def _value(settings: Settings, name: str) -> Any:
    if name.startswith("clients."):
        return None  # where the list is written; the list itself is compared
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _replaced(section: Any, path: list[str], value: Any) -> Any:
    """A copy of the section with another value at ``path``."""
    first, *rest = path
    inner: Section = getattr(section, first)
    return section.model_copy(update={first: _replaced(inner, rest, value) if rest else value})
