"""Placeholders ``${NAME}`` and ``${NAME:default}`` in values, as Spring resolves them.

A value that still has a placeholder in it is never used: an address would be dialled literally. A secret is
never put into another value, where messages and ``config show`` would show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from settings.problems import Report, shown
from settings.sources import Given, Variables

_OPEN: Final = "${"
_MAX_PLACEHOLDERS: Final = 500
"""In one value. Without a bound, variables that name each other twice double at each step."""


class _Unresolved(Exception):  # noqa: N818 - becomes a problem in ``resolve``
    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right


@dataclass(slots=True)
class Placeholders:
    """Resolves placeholders from the variables of several sources; the first that has a name counts."""

    sources: tuple[Variables, ...]
    is_secret: Callable[[str], bool]
    _used: dict[str, None] = field(default_factory=dict)
    _left: int = 0

    def resolve(self, key: str, given: Given, report: Report) -> Given | None:
        """The value with its placeholders replaced; None, and a problem noted, when one cannot be.

        Lists and mappings are gone through. The origin then names the variables as well.
        """
        if not any(_OPEN in text for text in _texts(given.value)):
            return given
        self._used, self._left = {}, _MAX_PLACEHOLDERS
        try:
            value = self._tree(given.value)
        except _Unresolved as problem:
            report.error(key, given.origin, problem.wrong, problem.right)
            return None
        return Given(value, ", ".join([given.origin, *self._used]), given.rank)

    def _tree(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value, ())
        if isinstance(value, list):
            return [self._tree(part) for part in value]
        if isinstance(value, dict):
            return {name: self._tree(part) for name, part in value.items()}
        return value

    def _text(self, text: str, within: tuple[str, ...]) -> str:
        """``within``: the names whose values are being resolved, so that a circle ends."""
        parts: list[str] = []
        before, opening, rest = text.partition(_OPEN)
        while opening:
            end = _closing(rest)
            if end is None:
                raise _Unresolved(f"{shown(text)} has ${{ without its }}", "${NAME} or ${NAME:default}")
            parts += (before, self._one(rest[:end], within))
            before, opening, rest = rest[end + 1 :].partition(_OPEN)
        return "".join([*parts, before])

    def _one(self, inner: str, within: tuple[str, ...]) -> str:
        self._left -= 1
        if self._left < 0:
            raise _Unresolved(
                "has too many placeholders", f"{_MAX_PLACEHOLDERS} or fewer, nested ones included"
            )
        name, default = _split_default(inner)
        name = self._text(name, within).strip()
        if self.is_secret(name):
            wrong = f"${{{name}}} is a secret, and this value is shown to people"
            raise _Unresolved(wrong, "a variable without SECRET_ before its name, for what is not secret")
        if name in within:
            raise _Unresolved(f"${{{name}}} leads back to itself", "a value for it without that placeholder")
        for variables in self.sources:
            found = variables.look_up(name)
            if found is not None:
                self._used[found.origin] = None
                return self._text(found.value, (*within, name))
        if default is None:
            wrong = f"${{{name}}} is not set in the environment or .env"
            raise _Unresolved(wrong, f"a value for {name}, or a default: ${{{name}:…}}")
        return self._text(default, within)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _closing(text: str) -> int | None:
    """Where the placeholder ends whose inside ``text`` begins with; None: nowhere."""
    depth = 0
    for index, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return index
            depth -= 1
    return None


def _split_default(inner: str) -> tuple[str, str | None]:
    """Name and default, parted by the first colon that is in no placeholder of its own."""
    depth = 0
    for index, character in enumerate(inner):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == ":" and depth == 0:
            return inner[:index], inner[index + 1 :]
    return inner, None
