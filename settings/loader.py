"""Environment over .env over YAML over defaults; every mistake at once; where each value came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from settings import unknown
from settings.client_list import ClientList, read_clients
from settings.indexed_clients import collect_indexed
from settings.keys import Key, all_keys, defaults, nest, sections
from settings.keys import flatten as flatten_tree
from settings.model import Settings
from settings.problems import UNSET, Problem, Report, SettingsError, shown
from settings.rules import findings
from settings.secrets import read_secret
from settings.shadow import keep_apart
from settings.sources import (
    DEFAULT,
    FILE,
    Given,
    Variables,
    find_config_file,
    read_config_file,
    read_dotenv,
    read_environment,
)
from settings.validation import validate


def load_settings(
    config_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    dotenv_path: Path | None = None,
) -> Settings:
    """Reads every source and returns what is in force.

    Args:
        config_path: a YAML file; None: what EVENTPROC_CONFIG or STELLAR_ANCHOR_CONFIG names, else none.
        env: the environment; None: the process's.
        dotenv_path: a .env file; None: ``.env`` in the current folder, if there is one.

    Raises:
        SettingsError: with every problem found.
    """
    report = Report()
    environment = read_environment(os.environ if env is None else env)
    dotenv = read_dotenv(dotenv_path, report)
    path, named_by = find_config_file(config_path, (environment, dotenv))

    given = {name: Given(value, "default", DEFAULT) for name, value in defaults().items()}
    if path is not None:
        given |= _from_file(read_config_file(path, named_by, report), f"file {path}", report)
    for variables in (dotenv, environment):
        given |= _from_variables(variables, report)
    given |= _secrets((environment, dotenv), report)

    clients = read_clients(given, path, report)
    settings = _build(given, clients, report)
    if report.errors:
        raise SettingsError(report.errors, report.files)
    origins = {name: value.origin for name, value in given.items()} | {"clients": clients.origin}
    known = {"origins": origins, "warnings": tuple(report.warnings), "files": tuple(report.files)}
    settings = settings.model_copy(update=known)
    return keep_apart(settings) if settings.delivery.mode == "shadow" else settings


def _from_file(tree: Mapping[Any, Any], origin: str, report: Report) -> dict[str, Given]:
    if isinstance(tree.get("clients"), list):  # the Anchor Platform 2 has the list right there
        tree = {**tree, "clients": {"items": tree["clients"]}}
    aliases = {alias: key.name for key in all_keys().values() for alias in key.aliases}
    given: dict[str, Given] = {}
    for written, value in flatten_tree(tree):
        name = aliases.get(written, written)
        key = all_keys().get(name)
        if unknown.is_secret_name(name):
            if value is not None:
                _refuse_secret(name, origin, report)
        elif key is not None:
            if value is not None and value != "":
                given[name] = Given(value.strip() if isinstance(value, str) else value, origin, FILE)
        elif name in sections():
            if value is not None and value != {}:
                right = f"keys below it, like {next(known for known in all_keys() if known.startswith(name))}"
                report.error(name, origin, f"{shown(value)} stands where a section belongs", right)
        else:
            unknown.warn_of_key(name, origin, report)
    return given


def _refuse_secret(name: str, origin: str, report: Report) -> None:
    variable = unknown.secret_variable(name)
    report.error(
        name, origin, "is a secret and must not stand in a file of settings", f"the variable {variable}"
    )


def _from_variables(variables: Variables, report: Report) -> dict[str, Given]:
    given: dict[str, Given] = {}
    used: set[str] = set()
    for key in all_keys().values():
        used.update(key.variables)
        if key.is_secret:
            continue
        for form in reversed(key.variables):  # the proper name last: it wins over an alias
            value = variables.get(form)
            if value is None:
                continue
            if unknown.is_service_link(value.value):
                wrong = f"{shown(value.value)} is what Kubernetes sets for a service of that name; left out"
                report.warn(
                    key.name, value.origin, wrong, "enableServiceLinks: false in the pod, or another name"
                )
            else:
                given[key.name] = replace(value, value=value.value.strip())
    if (listed := collect_indexed(variables, used, report)) is not None:
        given["clients.items"] = listed
    for form in variables:
        value = variables.get(form)
        if value is not None and form not in used:
            unknown.warn_of_variable(form, value.origin, report)
    return given


def _secrets(sources: tuple[Variables, ...], report: Report) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for key in all_keys().values():
        if key.is_secret:
            given[key.name] = read_secret(key, sources, report) or Given(None, UNSET, DEFAULT)
    return given


def _build(given: Mapping[str, Given], clients: ClientList, report: Report) -> Settings:
    """The settings; keys that are wrong are noted and get their defaults, so that the rules can run."""

    def origin_of(name: str) -> str:
        return given[_key_of(name).name].origin

    values = {name: value.value for name, value in given.items() if not name.startswith("clients.")}
    found = validate(Settings, nest(values) | {"clients": clients.clients}, origin_of)
    wrong: set[str] = set()
    if not isinstance(found, Settings):
        report.errors.extend(_named(problem) for problem in found)
        wrong = {_key_of(problem.key).name for problem in found}
        values |= {name: defaults().get(name) for name in wrong}
        found = validate(Settings, nest(values) | {"clients": clients.clients}, origin_of)
        if not isinstance(found, Settings):
            raise SettingsError(found)  # a default that is wrong; a test keeps this from happening
    for finding in findings(found, has_callback_urls=clients.has_callback_urls):
        if wrong.isdisjoint((finding.key, *finding.looked_at)):
            origin = clients.origin if finding.key.startswith("clients.") else origin_of(finding.key)
            into = report.warnings if finding.is_warning else report.errors
            into.append(_named(Problem(finding.key, origin, finding.wrong, finding.right)))
    return found


def _key_of(name: str) -> Key:
    """The key that a problem's place, perhaps ``sep6.more_info_url.txn_fields[0]``, belongs to."""
    return all_keys()[name.partition("[")[0]]


def _named(problem: Problem) -> Problem:
    """A secret's problem goes by its variable: that is where the operator looks."""
    name = problem.key.partition("[")[0]
    key = all_keys().get(name)
    return replace(problem, key=key.variable) if key is not None and key.is_secret else problem
