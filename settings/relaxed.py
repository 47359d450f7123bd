"""Spellings of one name that mean the same, as Spring and the Anchor Platform bind them.

``base_url``, ``base-url`` and ``baseUrl`` are one key; ``API_KEY``, ``api-key`` and ``apiKey`` are one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_ACRONYM_END = re.compile(r"([A-Z]+)([A-Z][a-z])")
_HUMP = re.compile(r"([a-z])([A-Z])")


def to_snake(name: str) -> str:
    """``baseUrl`` and ``base-url`` as ``base_url`` (AP ``StringHelper.camelToSnake``)."""
    name = _HUMP.sub(r"\1_\2", _ACRONYM_END.sub(r"\1_\2", name))
    return name.replace("-", "_").lower()


def uniform(name: str) -> str:
    """What all spellings of a name share: its letters and digits in lower case; dots stay."""
    return "".join(character for character in name.lower() if character not in "-_")


def known_name(written: str, known: Iterable[str]) -> str | None:
    """The known name that ``written`` is a spelling of; None when it is one of none."""
    return {uniform(name): name for name in known}.get(uniform(written))


@dataclass(frozen=True, slots=True)
class Choice:
    """Marks a ``Literal`` of text: each value may be written in any case, with ``-``, ``_`` or neither."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's hook: find the value that was meant, before the ``Literal`` is checked."""
        values = {uniform(value): value for value in get_args(source)}
        return core_schema.no_info_before_validator_function(
            lambda given: _choose(given, values), handler(source)
        )


def _choose(given: object, values: Mapping[str, str]) -> object:
    return values.get(uniform(given.strip()), given) if isinstance(given, str) else given
