"""What is wrong with a configuration: every problem at once, each with the way out.

A problem names the key, where its value came from, what is wrong with which value, and what would be right.
A secret's value never gets here; two kinds of secret that strayed into an open key are masked by ``shown``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

_SEED = re.compile(r"\bS[A-Z2-7]{55}\b", re.IGNORECASE)
_USERINFO = re.compile(r"^(['\"]?\w*://)?.*@", re.DOTALL)
_SHOWN_CHARACTERS = 100

UNSET = "not set"
"""The origin of a value that no source gives."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change (or, among the warnings, to look at)."""

    key: str
    """The dotted key, ``callback_api.auth.type``, or the variable's name for a secret."""
    origin: str
    """``default``, ``file /etc/anchor.yaml``, ``.env NAME``, ``environment NAME`` or ``not set``."""
    wrong: str
    """What is wrong, with the value unless it is a secret."""
    right: str
    """What would be right, or the nearest known name."""

    def __str__(self) -> str:
        """Key, origin, what is wrong, what would be right: one line."""
        place = "" if self.origin == UNSET else f" ({self.origin})"
        return f"{self.key}{place}: {self.wrong}; right: {self.right}"


class SettingsError(Exception):
    """The configuration cannot be used; ``problems`` has everything that must change.

    ``files`` are those that were looked into; ``warnings`` are what would have been warned of; ``log_format``
    is ``logging.format``, for the report of this error.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        files: Iterable[Path] = (),
        warnings: Sequence[Problem] = (),
        log_format: Literal["human", "json"] = "human",
    ) -> None:
        self.problems = list(problems)
        self.files = tuple(files)
        self.warnings = tuple(warnings)
        self.log_format = log_format
        super().__init__(str(self))

    def __str__(self) -> str:
        """A heading and one line per problem."""
        count = len(self.problems)
        heading = f"{count} problem{'' if count == 1 else 's'} in the configuration:"
        return "\n".join([heading, *(f"  - {problem}" for problem in self.problems)])


@dataclass(slots=True)
class Report:
    """Collects problems, and the files looked into, while the sources are read."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    """Warnings of names that mean nothing here: read first, as a mistyped key explains what follows."""
    files: list[Path] = field(default_factory=list)

    @property
    def all_warnings(self) -> tuple[Problem, ...]:
        """In the order to read them."""
        return (*self.unknown, *self.warnings)

    def error(self, key: str, origin: str, wrong: str, right: str) -> None:
        """Notes what must change."""
        self.errors.append(Problem(key, origin, wrong, right))

    def warn(self, key: str, origin: str, wrong: str, right: str) -> None:
        """Notes what is worth a look and stops nothing."""
        self.warnings.append(Problem(key, origin, wrong, right))

    def warn_unknown(self, key: str, origin: str, right: str) -> None:
        """Notes a name that means nothing here, with the nearest that does."""
        self.unknown.append(Problem(key, origin, "is not known and has no effect", right))


def shown(value: object) -> str:
    """The value as a message may show it: short, without a secret seed or a URL's user name and password."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = _USERINFO.sub(r"\1***@", _SEED.sub("S***", text))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``, or None when none is like it."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None
