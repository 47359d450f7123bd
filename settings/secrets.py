"""Secrets: ``SECRET_X``, or ``SECRET_X_FILE`` with the path of a file, from the environment or .env alone.

The file of a secret that is to follow another (``SECRET_X_NEXT_FILE``) may be empty or missing, so that an
operator can set the variable long before there is such a secret.
"""

from __future__ import annotations

from pathlib import Path

from settings.keys import Key
from settings.problems import Report
from settings.sources import Given, Variables, read_text


def read_secret(key: Key, sources: tuple[Variables, ...], report: Report) -> Given | None:
    """The secret from the first source that has it; None when none has."""
    for variables in sources:
        plain, in_file = variables.get(key.variable), variables.get(f"{key.variable}_FILE")
        if plain is not None and in_file is not None:
            wrong = f"is set beside {key.variable}_FILE"
            report.error(key.variable, plain.origin, wrong, "one of the two")
            return plain
        if plain is not None:
            return plain
        if in_file is not None:
            return _read_file(key, in_file, report)
    return None


def _read_file(key: Key, in_file: Given, report: Report) -> Given | None:
    name = f"{key.variable}_FILE"
    path = Path(in_file.value.strip())
    is_prepared = key.name.endswith("_next")  # wired before there is a secret to come
    if is_prepared and not path.exists():
        report.files.append(path.absolute())  # looked at again: it is written when the change is planned
        return None
    text = read_text(path, name, in_file.origin, report)
    if text is None:
        return None
    secret = text.rstrip("\r\n")  # editors and `kubectl create secret` from a file end it with a newline
    if not secret and is_prepared:
        return None
    if not secret:
        report.error(name, in_file.origin, f"{in_file.value} is empty", "a file with the secret in it")
        return None
    return Given(secret, in_file.origin, in_file.rank)
