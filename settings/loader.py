"""Environment over .env over YAML over defaults; every mistake at once; where each value came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from settings.client_list import ClientList, read_clients
from settings.findings import Sources
from settings.keys import Key, all_keys, defaults, known_key, nest
from settings.model import Settings
from settings.msk import as_kafka, derived_origins
from settings.placeholders import Placeholders
from settings.problems import UNSET, Problem, Report, SettingsError
from settings.rules import findings
from settings.secrets import read_secret
from settings.shadow import keep_apart
from settings.sources import (
    DEFAULT,
    Given,
    Variables,
    find_config_file,
    read_config_file,
    read_dotenv,
    read_environment,
)
from settings.unknown import is_secret_variable
from settings.validation import validate
from settings.written import Written, read_document, read_variables


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
    written = Written()
    for tree in read_config_file(path, named_by, report) if path is not None else []:
        written.add(read_document(tree, f"file {path}", report))
    for variables in (dotenv, environment):
        written.add(read_variables(variables, report))
    placeholders = Placeholders((environment, dotenv), is_secret_variable)
    written = written.resolved(placeholders, report)
    given |= written.given | _secrets((environment, dotenv), report)

    clients = read_clients(given, path, placeholders, report)
    settings = _build(given, clients, written.emptied(), report)
    if report.errors:
        raise SettingsError(report.errors, report.files, report.all_warnings, settings.logging.format)
    origins = {name: value.origin for name, value in given.items()} | {"clients": clients.origin}
    origins |= derived_origins(settings)
    known = {"origins": origins, "warnings": report.all_warnings, "files": tuple(report.files)}
    settings = settings.model_copy(update=known)
    return keep_apart(settings) if settings.delivery.mode == "shadow" else settings


def _secrets(sources: tuple[Variables, ...], report: Report) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for key in all_keys().values():
        if key.is_secret:
            given[key.name] = read_secret(key, sources, report) or Given(None, UNSET, DEFAULT)
    return given


def _build(
    given: Mapping[str, Given], clients: ClientList, emptied: Mapping[str, str], report: Report
) -> Settings:
    """The settings; keys that are wrong are noted and get their defaults, so that the rules can run."""

    def origin_of(name: str) -> str:
        return given[_key_of(name).name].origin

    values = {name: value.value for name, value in given.items() if not name.startswith("clients.")}
    found = validate(Settings, nest(values) | {"clients": clients.clients}, origin_of)
    wrong = {known_key(problem.key) for problem in report.errors}
    if not isinstance(found, Settings):
        report.errors.extend(_named(problem) for problem in found)
        wrong_values = {_key_of(problem.key).name for problem in found}
        wrong |= wrong_values
        values |= {name: defaults().get(name) for name in wrong_values}
        found = validate(Settings, nest(values) | {"clients": clients.clients}, origin_of)
        if not isinstance(found, Settings):
            raise SettingsError(found)  # a default that is wrong; a test keeps this from happening
    found = as_kafka(found)
    sources = Sources(
        frozenset(name for name, value in given.items() if value.rank > DEFAULT),
        emptied,
        has_callback_urls=clients.has_callback_urls,
    )
    for finding in findings(found, sources):
        if wrong.isdisjoint((finding.key, *finding.looked_at)):
            origin = clients.origin if finding.key.startswith("clients.") else origin_of(finding.key)
            origin = emptied.get(finding.key, origin)
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
