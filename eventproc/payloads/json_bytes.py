"""JSON as the Anchor Platform writes it: no members without a value, UTF-8 unescaped, digits as received."""

from __future__ import annotations

from typing import Any

import orjson

from eventproc.events import Number


def encode(value: Any) -> bytes:
    """The bytes of a decoded value; a ``Number`` goes out by its own text."""
    # Without the option orjson writes a Number as the dataclass that it is: {"text": "1.10"}.
    return orjson.dumps(value, default=_as_written, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def present(**members: Any) -> dict[str, Any]:
    """The members that have a value, in the order given."""
    return {name: value for name, value in members.items() if value is not None}


def without_nulls(value: Any) -> Any:
    """The same value without null members, at every depth; nulls within a list stay, they have a position."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.text.encode())
    raise TypeError(f"a decoded record holds no {type(value).__name__}: pass what eventproc.events made")
