"""Reads the list of clients from where it is written (a file, text, items) and judges each client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from settings.checks import is_account, is_domain
from settings.clients import (
    CLIENT_KEYS,
    OLDER_URLS,
    SEP_NAMES,
    Client,
    ClientsSource,
    fold_older_spellings,
)
from settings.fields import split_list, strip_file_scheme
from settings.placeholders import Placeholders
from settings.problems import Problem, Report, nearest, shown
from settings.relaxed import known_name
from settings.sources import FILE, Given, read_text
from settings.text_yaml import describe_error, load_text
from settings.validation import validate

_FILE_SUFFIXES = (".yaml", ".yml", ".json")
_LIST_RIGHT = "a list of clients, or items: with that list"


@dataclass(frozen=True, slots=True)
class ClientList:
    """The clients that are right, and whether any, right or wrong, has a callback URL."""

    clients: tuple[Client, ...]
    origin: str
    has_callback_urls: bool


def read_clients(
    given: Mapping[str, Given], config_path: Path | None, placeholders: Placeholders, report: Report
) -> ClientList:
    """The clients that ``clients.type``, ``clients.value`` and ``clients.items`` lead to."""
    written, origin = _find_list(given, config_path, report)
    entries: dict[int, Any] = {}
    clients: list[Client] = []
    for index, entry in enumerate(written):
        if entry is None:  # a dash with nothing behind it; the Anchor Platform leaves it out, too
            continue
        key = f"clients.items[{index}]"
        plain = placeholders.resolve(key, Given(entry, origin, FILE), report)
        if plain is None:
            continue
        entries[index] = _in_present_case(plain.value, key, origin, report)
        found = _judge_client(entries[index], key, origin, report)
        if found is not None:
            clients.append(found)
    _check_names(entries, origin, report)
    return ClientList(tuple(clients), origin, any(map(_has_callback_url, entries.values())))


def _find_list(given: Mapping[str, Given], config_path: Path | None, report: Report) -> tuple[list[Any], str]:
    """The list as written, and its origin. Of value and items the one from the stronger source counts."""
    kind, value, items = (given[f"clients.{part}"] for part in ("type", "value", "items"))
    source = validate(
        ClientsSource, {"type": kind.value, "value": None, "items": None}, lambda _: kind.origin
    )
    if not isinstance(source, ClientsSource):
        report.errors.extend(replace(problem, key=f"clients.{problem.key}") for problem in source)
        return [], kind.origin
    has_value, has_items = value.value is not None, items.value is not None
    if has_value and has_items and value.rank == items.rank:
        report.error("clients.value", value.origin, "stands beside clients.items", "one of the two")
        return [], value.origin
    if has_items and (not has_value or items.rank > value.rank):
        return _parse_items(items, report), items.origin
    if has_value:
        return _parse_value(source.type, value, config_path, report)
    if source.type == "file":
        report.error("clients.value", kind.origin, "is missing, and clients.type is file", "the file's path")
    return [], kind.origin


def _parse_items(items: Given, report: Report) -> list[Any]:
    if isinstance(items.value, str):
        return _parse_text("clients.items", items.origin, items.value, is_json=False, report=report)
    return _unwrap("clients.items", items.origin, items.value, report)


def _parse_value(kind: str, value: Given, config_path: Path | None, report: Report) -> tuple[list[Any], str]:
    if kind in {"items", "inline"}:
        report.error("clients.value", value.origin, f"stands where clients.type is {kind}", "clients.items")
        return [], value.origin
    if not isinstance(value.value, str):
        # The text was written as plain YAML, without quotes or a | before it.
        return _unwrap("clients.value", value.origin, value.value, report), value.origin
    if kind != "file":
        is_json = kind == "json"
        return _parse_text(
            "clients.value", value.origin, value.value, is_json=is_json, report=report
        ), value.origin
    path = Path(strip_file_scheme(value.value))
    if config_path is not None and not path.is_absolute() and not path.exists():
        path = config_path.parent / path
    suffix = path.suffix.lower()
    if suffix not in _FILE_SUFFIXES:
        wrong = f"{path} is not a file of clients by its name"
        report.error("clients.value", value.origin, wrong, f"a name that ends in {', '.join(_FILE_SUFFIXES)}")
        return [], value.origin
    text = read_text(path, "clients.value", value.origin, report)
    if text is None:
        return [], value.origin
    origin = f"file {path}"
    return _parse_text("clients.value", origin, text, is_json=suffix == ".json", report=report), origin


def _parse_text(key: str, origin: str, text: str, *, is_json: bool, report: Report) -> list[Any]:
    try:
        tree = json.loads(text, parse_int=str, parse_float=str) if is_json else load_text(text)
    except RecursionError:
        report.error(key, origin, "nests too deeply", _LIST_RIGHT)
        return []
    except json.JSONDecodeError as error:
        wrong = f"is not valid JSON at line {error.lineno}, column {error.colno}"
        report.error(key, origin, wrong, 'JSON like {"items": [{"name": "wallet", …}]}')
        return []
    except yaml.YAMLError as error:
        report.error(key, origin, describe_error(error), "valid YAML")
        return []
    return _unwrap(key, origin, tree, report)


def _unwrap(key: str, origin: str, tree: Any, report: Report) -> list[Any]:
    """The list itself: bare, or under ``items``, ``clients`` or both."""
    for name in ("clients", "items"):
        if isinstance(tree, Mapping) and name in tree:
            tree = tree[name]
    if tree is None or isinstance(tree, list):
        return tree or []
    report.error(key, origin, "is no list of clients", _LIST_RIGHT)
    return []


def _judge_client(entry: Any, key: str, origin: str, report: Report) -> Client | None:
    if not isinstance(entry, Mapping):
        report.error(key, origin, f"{shown(entry)} is no client", "keys name, type and so on")
        return None
    _warn_unknown_keys(entry, key, origin, report)
    _warn_of_older_urls(entry, key, origin, report)
    fields, moved = fold_older_spellings({name: entry[name] for name in entry if name in CLIENT_KEYS})
    if isinstance(urls := fields.get("callback_urls"), Mapping):
        fields["callback_urls"] = {sep: url for sep, url in urls.items() if sep in SEP_NAMES}
    found = validate(Client, fields, lambda _: origin)
    problems = [] if isinstance(found, Client) else found
    missing = list(_missing_identity(fields, origin))
    if missing and moved.get("name") is None and "domains" in {problem.key for problem in missing}:
        problems = [problem for problem in problems if (problem.key, problem.wrong) != ("name", "is missing")]
    name = f" (client {shown(fields['name'])})" if isinstance(fields.get("name"), str) else ""
    # A name or four URLs that came from one older key are one problem of that key.
    for problem in dict.fromkeys(
        replace(each, key=moved.get(each.key, each.key)) for each in [*problems, *missing]
    ):
        report.errors.append(replace(problem, key=f"{key}.{problem.key}", wrong=f"{problem.wrong}{name}"))
    if not isinstance(found, Client) or missing:
        return None
    _warn_of_strange_identities(found, key, origin, report)
    return found


def _in_present_case(entry: Any, key: str, origin: str, report: Report) -> Any:
    """The entry with its members' names in snake case, whatever case they are written in."""
    if not isinstance(entry, Mapping):
        return entry
    plain: dict[str, Any] = {}
    for written, value in entry.items():
        name = known_name(str(written), CLIENT_KEYS) or str(written)
        if name in plain:
            report.error(f"{key}.{written}", origin, f"is {name}, written twice", "one of the two")
        plain[name] = value
    if isinstance(urls := plain.get("callback_urls"), Mapping):
        plain["callback_urls"] = {
            known_name(str(sep), SEP_NAMES) or str(sep): url for sep, url in urls.items()
        }
    return plain


def _warn_of_older_urls(entry: Mapping[str, Any], key: str, origin: str, report: Report) -> None:
    for older in OLDER_URLS:
        if not entry.get(older):
            continue
        if entry.get("callback_urls"):
            wrong = "stands beside callback_urls and is ignored, as Anchor Platform 3.0 and later ignore it"
            report.warn(f"{key}.{older}", origin, wrong, "remove it")
        else:
            wrong = "is used, as there are no callback_urls; Anchor Platform 3.0 and later ignore it"
            report.warn(f"{key}.{older}", origin, wrong, "callback_urls, with a URL for each SEP")


def _warn_of_strange_identities(client: Client, key: str, origin: str, report: Report) -> None:
    """Any text may be an identity, as in the Anchor Platform, but no event names one like these."""
    name = f"(client {shown(client.name)})"
    for index, domain in enumerate(client.domains):
        if not is_domain(domain):
            wrong = f"{shown(domain)} is not a host name, so no event matches it {name}"
            right = "a host like wallet.example, without https:// or path"
            report.warn(f"{key}.domains[{index}]", origin, wrong, right)
    for index, account in enumerate(client.signing_keys):
        if not is_account(account):
            wrong = f"{shown(account)} is not a Stellar account, so no event matches it {name}"
            right = "G… or C…: 56 of A-Z 2-7, checksum included"
            report.warn(f"{key}.signing_keys[{index}]", origin, wrong, right)


def _has_callback_url(entry: Any) -> bool:
    urls = fold_older_spellings(entry)[0].get("callback_urls") if isinstance(entry, Mapping) else None
    return isinstance(urls, Mapping) and not urls.keys().isdisjoint(SEP_NAMES)


def _missing_identity(fields: Mapping[str, Any], origin: str) -> Iterator[Problem]:
    kind = str(fields.get("type", "")).strip().lower()
    if kind == "custodial" and not split_list(fields.get("signing_keys")):
        yield Problem(
            "signing_keys", origin, "is missing", "the public keys (G…) that the custodial client signs with"
        )
    if kind == "noncustodial" and not split_list(fields.get("domains")):
        yield Problem(
            "domains", origin, "is missing", "the noncustodial client's domains, like wallet.example"
        )


def _warn_unknown_keys(entry: Mapping[Any, Any], key: str, origin: str, report: Report) -> None:
    urls = entry.get("callback_urls")
    unknown = [(str(name), CLIENT_KEYS) for name in entry if name not in CLIENT_KEYS]
    if isinstance(urls, Mapping):
        known = tuple(f"callback_urls.{sep}" for sep in SEP_NAMES)
        unknown += [(f"callback_urls.{sep}", known) for sep in urls if sep not in SEP_NAMES]
    for name, known in unknown:
        guess = nearest(name, known)
        report.warn_unknown(f"{key}.{name}", origin, f"{guess}?" if guess else f"one of {', '.join(known)}")


def _check_names(entries: Mapping[int, Any], origin: str, report: Report) -> None:
    """Names are looked up over all clients, wrong ones too: a name given twice is wrong either way."""
    first: dict[str, int] = {}
    for index, entry in entries.items():
        if not isinstance(entry, Mapping):
            continue
        name = fold_older_spellings(entry)[0].get("name")
        if not isinstance(name, str) or not name.strip():
            continue
        if name.strip() in first:
            wrong = f"{shown(name.strip())} is also the name of clients.items[{first[name.strip()]}]"
            report.error(f"clients.items[{index}].name", origin, wrong, "a name of its own")
        first.setdefault(name.strip(), index)
    for name, index in first.items():
        owner, dot, sep = name.rpartition(".")
        if dot and sep in SEP_NAMES and owner in first:
            wrong = f"{shown(name)} is how the {sep} endpoint of {shown(owner)} is called"
            report.error(f"clients.items[{index}].name", origin, wrong, f"a name that does not end in .{sep}")
