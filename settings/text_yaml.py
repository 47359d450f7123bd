"""YAML whose scalars stay text.

A variable is always text; with YAML read the same way there is one set of conversions, and a client named
``no``, ``012`` or ``2026-11-24`` keeps its name.
"""

from __future__ import annotations

from typing import Any

import yaml

_MAX_DEPTH = 20
_KEPT_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")


class _TextLoader(yaml.SafeLoader):
    """PyYAML's safe loader that recognises nothing but null and merge keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (PyYAML's own attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _KEPT_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load_text(text: str) -> Any:
    """The document: mappings, lists, text and None. Raises ``yaml.YAMLError``, also for a second document."""
    trees = load_documents(text)
    if len(trees) > 1:
        raise yaml.YAMLError("has more than one document")
    return trees[0] if trees else None


def load_documents(text: str) -> list[Any]:
    """Each document of a text that has one or more, parted by ``---``. Raises ``yaml.YAMLError``."""
    try:
        trees = list(yaml.load_all(text, Loader=_TextLoader))
    except RecursionError:
        raise yaml.YAMLError("nests too deeply") from None
    for tree in trees:
        _check_depth(tree, _MAX_DEPTH)
    return trees


def _check_depth(tree: Any, remaining: int) -> None:
    """An alias may point to a mapping around it, and whoever walks that never comes back."""
    if remaining == 0:
        raise yaml.YAMLError("nests too deeply")
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            _check_depth(branch, remaining - 1)


def describe_error(error: yaml.YAMLError) -> str:
    """Where the document breaks, without quoting from it."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"is not valid YAML at line {mark.line + 1}, column {mark.column + 1}"
