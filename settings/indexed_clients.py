"""Clients written as variables, like ``CLIENTS_ITEMS_0_NAME`` or ``CLIENTS[0]_CALLBACK_URLS_SEP24``."""

from __future__ import annotations

import re
from typing import Any

from settings.clients import CLIENT_KEYS, SEP_NAMES
from settings.fields import split_list
from settings.problems import Report, nearest
from settings.relaxed import known_name
from settings.sources import Given, Variables

_INDEX = r"_?(?:\[(\d{1,9})\]|(\d{1,9}))"
_VARIABLE = re.compile(rf"CLIENTS(?:_ITEMS)?{_INDEX}_(.+)")
_LIST_ENTRY = re.compile(rf"(.+?){_INDEX}")
_LISTS = ("signing_keys", "domains", "destination_accounts")
_URLS = {f"callback_urls_{sep}": sep for sep in SEP_NAMES}


def collect_indexed(variables: Variables, used: set[str], report: Report) -> Given | None:
    """The list of clients that these variables spell, in the order of their indexes; None when there is none.

    Args:
        variables: one source; its list replaces that of a weaker source as a whole.
        used: gets the variables that were understood or warned of.
        report: gets a warning for each unknown field.
    """
    clients: dict[int, dict[str, Any]] = {}
    first: Given | None = None
    for form in sorted(variables, key=_natural_order):
        given, match = variables.get(form), _VARIABLE.fullmatch(form)
        if given is None or match is None:
            continue
        used.add(form)
        client, name = clients.setdefault(int(match[1] or match[2]), {}), match[3].lower()
        if not _set_field(client, name, given.value.strip()):
            guess = nearest(name, [*CLIENT_KEYS, *_URLS]) or "name"
            report.warn_unknown(form, given.origin, f"…_{guess.upper()}?")
        first = first or given
    if first is None:
        return None
    return Given([clients[index] for index in sorted(clients)], f"{first.origin} and so on", first.rank)


def _set_field(client: dict[str, Any], written: str, value: str) -> bool:
    url = known_name(written, _URLS)
    name = known_name(written, CLIENT_KEYS)
    if url is not None:
        client.setdefault("callback_urls", {})[_URLS[url]] = value
    elif (entry := _LIST_ENTRY.fullmatch(written)) and (listed := known_name(entry[1], _LISTS)):
        client.setdefault(listed, []).append(value)
    elif name is not None and name != "callback_urls":
        client[name] = split_list(value) if name in _LISTS else value
    else:
        return False
    return True


def _natural_order(form: str) -> list[tuple[int, str]]:
    return [(int(part[:1000]), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", form)]
