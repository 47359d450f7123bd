"""Reads the three sources an operator writes: the environment, a .env file, a YAML file.

Each comes out as names with value, origin and rank; the higher rank wins. Nothing is judged here
but what cannot be read at all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv.parser import parse_stream

from settings.fields import strip_file_scheme
from settings.keys import variable_of
from settings.problems import Report
from settings.text_yaml import describe_error, load_documents

CONFIG_VARIABLES = ("EVENTPROC_CONFIG", "STELLAR_ANCHOR_CONFIG")

CLASSPATH, COPY_OF_IT = "classpath:", "the path of a copy of that file"

DEFAULT, FILE, DOTENV, ENVIRONMENT = range(4)
"""Ranks."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it came from."""

    value: Any
    origin: str
    rank: int


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of one source, by the form that all spellings share (``EVENTS_QUEUE_TYPE``)."""

    by_form: Mapping[str, Given]
    empty: Mapping[str, Given] = field(default_factory=dict)
    """Those that are set to nothing."""

    def get(self, form: str) -> Given | None:
        """The variable, however it is spelled; None when it is missing or empty."""
        return self.by_form.get(form)

    def look_up(self, name: str) -> Given | None:
        """The variable that a placeholder names, also an empty one; None when it is missing."""
        form = variable_of(name)
        return self.by_form.get(form) or self.empty.get(form)

    def __iter__(self) -> Iterator[str]:
        """The forms."""
        return iter(self.by_form)


def read_environment(environment: Mapping[str, str]) -> Variables:
    """The process's variables; a container may have them in the dotted form as well."""
    return _variables(environment, "environment", ENVIRONMENT)


def read_dotenv(path: Path | None, report: Report) -> Variables:
    """The variables of a .env file; None: ``.env`` in the current folder, if there is one."""
    if path is None:
        path = Path(".env")
        if not path.is_file():
            report.files.append(path.absolute())
            return Variables({})
    text = read_text(path, ".env", str(path), report)
    lines: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text or "")):
        if binding.error:
            where = f"line {binding.original.line}"
            report.error(".env", str(path), f"{where} cannot be read", "lines of NAME=value, quotes closed")
        elif binding.key is not None and binding.value is not None:
            lines[binding.key] = binding.value
    return _variables(lines, ".env", DOTENV)


def find_config_file(config_path: Path | None, sources: tuple[Variables, ...]) -> tuple[Path | None, str]:
    """The YAML file to read, and who names it."""
    if config_path is not None:
        return Path(strip_file_scheme(str(config_path))), "--config"
    for name in CONFIG_VARIABLES:
        for variables in sources:
            if given := variables.get(name):
                return Path(strip_file_scheme(given.value)), given.origin
    return None, ""


def read_config_file(path: Path, named_by: str, report: Report) -> list[Mapping[Any, Any]]:
    """The trees of the YAML file's documents; none, and a problem noted, when it cannot be read."""
    text = read_text(path, "configuration file", named_by, report)
    if text is None:
        return []
    try:
        trees = [tree for tree in load_documents(text) if tree is not None]
    except yaml.YAMLError as error:
        report.error("configuration file", f"file {path}", describe_error(error), "valid YAML")
        return []
    if not all(isinstance(tree, Mapping) for tree in trees):
        report.error(
            "configuration file", f"file {path}", "has no keys at its top level", "events: and so on"
        )
        return []
    return trees


def read_text(path: Path, key: str, origin: str, report: Report) -> str | None:
    """The text of a file; None, and a problem noted, when it cannot be read."""
    if str(path).startswith(CLASSPATH):
        report.error(
            key, origin, f"{path} is inside the Anchor Platform's jar, which is not here", COPY_OF_IT
        )
        return None
    report.files.append(path.absolute())
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        report.error(
            key, origin, f"{path}: {error.strerror or 'cannot be read'}", "the path of a readable file"
        )
    except ValueError:  # not UTF-8, or a path with a NUL
        report.error(key, origin, f"{path} is not UTF-8 text", "the path of a text file")
    return None


def _variables(raw: Mapping[str, str], source: str, rank: int) -> Variables:
    by_form: dict[str, Given] = {}
    empty: dict[str, Given] = {}
    # The exact form last, so that it wins over another spelling of the same variable.
    for name in sorted(raw, key=lambda name: name == variable_of(name)):
        into = by_form if raw[name].strip() else empty
        into[variable_of(name)] = Given(_unescape(raw[name]), f"{source} {name}", rank)
    return Variables(by_form, empty)


def _unescape(value: str) -> str:
    r"""``\n`` as a newline and ``\"`` as a quote (AP ``ConfigEnvironment.getenv``), for lists of clients.

    JSON that is right as it stands keeps its escapes: without them, a quote within a name would end the name.
    """
    return value if _is_json(value) else value.replace("\\n", "\n").replace('\\"', '"')


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
