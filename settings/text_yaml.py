"""YAML whose scalars stay text.

A variable is always text; with YAML read the same way there is one set of conversions, and a client named
``no``, ``012`` or ``2026-11-24`` keeps its name.
"""

from __future__ import annotations

from typing import Any

import yaml

_MAX_DEPTH = 20
_MAX_ALIASED_NODES = 10_000
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
    loader, trees = _TextLoader(text), []
    try:
        while loader.check_node():
            root = loader.get_node()
            assert root is not None  # noqa: S101 - there is a node
            _check_size(root, len(text) + _MAX_ALIASED_NODES)
            trees.append(loader.construct_document(root))
    except RecursionError:
        raise yaml.YAMLError("nests too deeply") from None
    finally:
        loader.dispose()
    return trees


def _check_size(root: yaml.Node, most: int) -> None:
    """Refuse a document that nests too deeply, or that aliases make far larger than its text.

    Looks at each node once, before PyYAML follows an alias: nine lists of nine aliases each are 500 bytes and
    three hundred million nodes, and merge keys grow in the same way. A document without aliases has fewer
    nodes than characters.
    """
    measured: dict[int, tuple[int, int]] = {}

    def measure(node: yaml.Node, depth: int) -> tuple[int, int]:
        """Nodes and levels, aliases followed."""
        if isinstance(node, yaml.MappingNode):
            inside = [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = node.value
        else:
            inside = []
        found = measured.get(id(node))
        if found is None and depth <= _MAX_DEPTH:  # not so: an alias to a mapping around it has no end
            sizes = [measure(one, depth + 1) for one in inside]
            found = 1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)
            measured[id(node)] = found
        if found is None or depth + found[1] > _MAX_DEPTH + 1:
            raise yaml.YAMLError("nests too deeply")
        if found[0] > most:
            raise yaml.YAMLError(f"has aliases that make it more than {most} nodes large")
        return found

    measure(root, 1)


def describe_error(error: yaml.YAMLError) -> str:
    """Where the document breaks, without quoting from it."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"is not valid YAML at line {mark.line + 1}, column {mark.column + 1}"
