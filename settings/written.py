"""What an operator wrote, by key: out of a YAML document, or out of the variables of one source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from settings import unknown
from settings.indexed_clients import collect_indexed
from settings.keys import Key, all_keys, flatten, known_key, sections
from settings.placeholders import Placeholders
from settings.problems import Report, shown
from settings.sources import FILE, Given, Variables

_WHOLE_NUMBER: Final = re.compile(r"[+-]?\d+")
_DROPPED_SECRETS: Final = ("secret.", "SECRET_")
"""Where the Anchor Platform warns of a secret in its file and goes on without it."""


@dataclass(slots=True)
class Written:
    """Values by key, and the keys that were given no value, which is not the same as not given."""

    given: dict[str, Given] = field(default_factory=dict)
    empty: dict[str, Given] = field(default_factory=dict)

    def put(self, key: str, value: Given) -> None:
        """Takes a value of the same or a stronger source; an empty one replaces nothing."""
        is_empty = value.value is None or value.value == ""
        (self.empty if is_empty else self.given)[key] = value

    def add(self, stronger: Written) -> None:
        """Takes over what a stronger source gives."""
        self.given |= stronger.given
        self.empty |= stronger.empty

    def resolved(self, placeholders: Placeholders, report: Report) -> Written:
        """The same with each ``${NAME}`` replaced; what cannot be is a problem, and left out."""
        found = Written(empty=dict(self.empty))
        for key, value in self.given.items():
            if isinstance(value.value, list):  # of clients, which are resolved one by one
                found.put(key, value)
                continue
            plain = placeholders.resolve(key, value, report)
            if plain is not None:
                found.put(key, _stripped(plain))
        return found

    def emptied(self) -> Mapping[str, str]:
        """The keys that have no value from any source although one names them, with that origin."""
        return {key: value.origin for key, value in self.empty.items() if key not in self.given}


def read_document(tree: Mapping[Any, Any], origin: str, report: Report) -> Written:
    """The keys of one YAML document."""
    if isinstance(tree.get("clients"), list):  # the Anchor Platform 2 has the list right there
        tree = {**tree, "clients": {"items": tree["clients"]}}
    by_name = _keys_by_other_name()
    found = Written()
    spelled: dict[str, str] = {}
    for written, value in flatten(tree):
        known = known_key(written)
        key = by_name.get(known, all_keys().get(known))
        if (variable := unknown.secret_variable(known)) is not None:
            if value is not None:
                _note_secret(written, variable, origin, report)
        elif key is not None:
            first = spelled.setdefault(key.name, written)
            if first != written:
                report.error(written, origin, f"is the same key as {first}, written twice", "one of the two")
            if known == key.older:
                _warn_of_older(written, key.name, origin, report)
            found.put(key.name, _stripped(Given(value, origin, FILE)))
        elif known in sections():
            if value is not None and value != {}:
                right = f"keys below it, like {next(name for name in all_keys() if name.startswith(known))}"
                report.error(written, origin, f"{shown(value)} stands where a section belongs", right)
        else:
            unknown.warn_of_key(written, known, origin, report)
    return found


def read_variables(variables: Variables, report: Report) -> Written:
    """The keys that the variables of one source set, secrets left out."""
    found = Written()
    used: set[str] = set()
    for key in all_keys().values():
        used.update(key.variables)
        if not key.is_secret:
            _read_key(key, variables, found, report)
    if (listed := collect_indexed(variables, used, report)) is not None:
        found.put("clients.items", listed)
    for form in variables:
        value = variables.get(form)
        if value is not None and form not in used:
            unknown.warn_of_variable(form, value.origin, report)
    if found.given:
        _warn_of_version(variables, report)
    return found


def _warn_of_version(variables: Variables, report: Report) -> None:
    """``VERSION`` is the Anchor Platform's switch for all variables, and often somebody else's name."""
    version = variables.get("VERSION")
    if version is not None and not _WHOLE_NUMBER.fullmatch(version.value):
        wrong = (
            f"{shown(version.value)} is no number: the Anchor Platform ignores every variable then, "
            "and eventproc reads them"
        )
        report.warn("VERSION", version.origin, wrong, "no VERSION, or 1")


def _read_key(key: Key, variables: Variables, found: Written, report: Report) -> None:
    for form in reversed(key.variables):  # the proper name last: it wins over an alias
        value = variables.look_up(form)
        if value is None:
            continue
        if unknown.is_service_link(value.value):
            wrong = f"{shown(value.value)} is what Kubernetes sets for a service of that name; left out"
            report.warn(
                key.name, value.origin, wrong, "enableServiceLinks: false in the pod, or another name"
            )
            continue
        if key.older is not None and form == key.variables[-1]:
            _warn_of_older(form, key.variable, value.origin, report)
        found.put(key.name, _stripped(value))


def _keys_by_other_name() -> Mapping[str, Key]:
    return {other: key for key in all_keys().values() for other in key.other_names}


def _stripped(value: Given) -> Given:
    return replace(value, value=value.value.strip()) if isinstance(value.value, str) else value


def _note_secret(written: str, variable: str, origin: str, report: Report) -> None:
    if written.startswith(_DROPPED_SECRETS):
        wrong = "is a secret in a file of settings: it is not read from there"
        report.warn(written, origin, wrong, f"remove it there; the variable {variable}")
    else:
        wrong = "is a secret and must not stand in a file of settings"
        report.error(written, origin, wrong, f"the variable {variable}")


def _warn_of_older(written: str, present: str, origin: str, report: Report) -> None:
    report.warn(written, origin, "is the name of Anchor Platform 2.0, which later ones refuse", present)
