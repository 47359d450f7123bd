"""Runs pydantic and turns what it finds into problems: key, origin, the value unless secret, the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from settings.fields import Section
from settings.problems import Problem, nearest, shown
from settings.relaxed import uniform

S = TypeVar("S", bound=Section)

_BOUNDS = {
    "greater_than": ("is too small", "more than {gt}"),
    "greater_than_equal": ("is too small", "{ge} or more"),
    "less_than": ("is too large", "less than {lt}"),
    "less_than_equal": ("is too large", "{le} or less"),
}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "string": "text",
    "path": "the path of a file",
    "tuple": "a list",
    "list": "a list",
    "model": "keys and values",
}


def validate(model: type[S], tree: Mapping[str, Any], origin_of: Callable[[str], str]) -> S | list[Problem]:
    """The section, or every problem in it; keys are relative to the section, lists have ``[0]``."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False)
    return list(_problems(details, origin_of))


def _problems(details: list[ErrorDetails], origin_of: Callable[[str], str]) -> Iterator[Problem]:
    for detail in details:
        key = _dotted(detail["loc"])
        wrong, right = _explain(detail)
        yield Problem(key, origin_of(key), wrong, right)


def _dotted(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _explain(detail: ErrorDetails) -> tuple[str, str]:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "refused":
        return context["wrong"], context["right"]
    if kind == "missing":
        return "is missing", "a value"
    if kind == "literal_error":
        return _explain_choice(str(context["expected"]), value)
    if kind in _BOUNDS:
        wrong, right = _BOUNDS[kind]
        return f"{shown(value)} {wrong}", right.format(**context)
    right = next((right for start, right in _KINDS.items() if kind.startswith(start)), "another value")
    return f"{shown(value)} is not {right}", right


def _explain_choice(expected: str, value: Any) -> tuple[str, str]:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    guess = nearest(str(value).lower(), choices) or next(
        (choice for choice in choices if uniform(choice) in uniform(str(value))), None
    )
    hint = f" (did you mean {guess}?)" if guess and len(choices) > 1 else ""
    return f"{shown(value)} is not known{hint}", choices[0] if len(
        choices
    ) == 1 else f"one of {', '.join(choices)}"
