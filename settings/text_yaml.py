"""YAML whose scalars stay text.

A variable is always text; with YAML read the same way there is one set of conversions, and a client named
``no``, ``012`` or ``2026-11-24`` keeps its name.
"""

from __future__ import annotations

from typing import Any

import yaml

_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _TextLoader(yaml.SafeLoader):
    """PyYAML's safe loader that recognises nothing but null and merge keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's own attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load_text(text: str) -> Any:
    """The document: mappings, lists, text and None. Raises ``yaml.YAMLError``."""
    return yaml.load(text, Loader=_TextLoader)  # noqa: S506  (derived from SafeLoader)


def describe_error(error: yaml.YAMLError) -> str:
    """Where the document breaks, without quoting from it."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return "is not valid YAML"
    return f"is not valid YAML at line {mark.line + 1}, column {mark.column + 1}"
