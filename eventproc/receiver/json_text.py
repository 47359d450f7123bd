r"""JSON as a tree whose leaves keep their own text, to undo what a parser and a writer did to a body.

A parsed number or string forgets how it was written (``1.10``, ``\u00fc``, ``\/``); here it does not, so
each thing that a writer may have changed (members' order, nulls, escapes, white space) can be changed back
alone.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

_TOKEN: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+)', re.DOTALL)
MAX_CHARACTERS: Final = 100_000

Node: TypeAlias = "str | list[Node] | Object"
"""A leaf's own text, an array, or an object."""


@dataclass(frozen=True, slots=True)
class Object:
    """Members in their order; names by their own text, with the quotes."""

    members: tuple[tuple[str, Node], ...]


class Spacing(enum.Enum):
    """How writers space JSON."""

    COMPACT = "compact"
    SPACED = "spaced"
    COLON_SPACED = "colon spaced"
    INDENT_2 = "two spaces"
    INDENT_4 = "four spaces"
    TAB = "tab"


_SPACINGS: Final[dict[Spacing, tuple[str | None, str, str]]] = {
    Spacing.COMPACT: (None, ",", ":"),
    Spacing.SPACED: (None, ", ", ": "),
    Spacing.COLON_SPACED: (None, ",", ": "),
    Spacing.INDENT_2: ("  ", ",", ": "),
    Spacing.INDENT_4: ("    ", ",", ": "),
    Spacing.TAB: ("\t", ",", ": "),
}
"""Indent, comma, colon."""


class Escapes(enum.Enum):
    """What writers escape in a string, beyond what they must."""

    NONE = ""
    ASCII = "all but ASCII"
    SLASH = "/"
    ASCII_AND_SLASH = "all but ASCII, and /"
    HTML = "<>&"
    HTML_AND_EQUALS = "<>&='"


def is_json(text: str) -> bool:
    """Whether a parser takes it."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def parse(text: str) -> Node | None:
    """The tree; None for what is no JSON, or too long to play with."""
    return _node(_tokens(text)) if len(text) <= MAX_CHARACTERS and is_json(text) else None


def write(node: Node, spacing: Spacing, level: int = 0) -> str:
    """The tree as text; leaves as they are. Empty objects and arrays stay on one line, as writers have it."""
    if isinstance(node, str):
        return node
    indent, comma, colon = _SPACINGS[spacing]
    if isinstance(node, Object):
        opening, closing = "{", "}"
        parts = [f"{name}{colon}{write(member, spacing, level + 1)}" for name, member in node.members]
    else:
        opening, closing = "[", "]"
        parts = [write(item, spacing, level + 1) for item in node]
    if not parts or indent is None:
        return opening + comma.join(parts) + closing
    inner, outer = "\n" + indent * (level + 1), "\n" + indent * level
    return opening + inner + (comma + inner).join(parts) + outer + closing


def with_strings(node: Node, escapes: Escapes) -> Node:
    """The same with every string, names included, escaped that way."""
    return _map(node, lambda leaf: _escape(leaf, escapes) if leaf.startswith('"') else leaf)


def without_nulls(node: Node) -> Node:
    """The same without members that are null; nulls in a list have a position and stay."""
    if isinstance(node, str):
        return node
    if isinstance(node, Object):
        return Object(tuple((name, without_nulls(m)) for name, m in node.members if m != "null"))
    return [without_nulls(item) for item in node]


def reordered(node: Node, rank: Callable[[str], int], *, turn: bool = False) -> Node:
    """The same with the members of each object by ``rank`` of their plain names.

    Members of the same rank stay as they were among themselves, or, with ``turn``, the other way round.
    """
    if isinstance(node, str):
        return node
    if isinstance(node, Object):
        members = [(name, reordered(member, rank, turn=turn)) for name, member in node.members]
        members = members[::-1] if turn else members
        return Object(tuple(sorted(members, key=lambda member: rank(_plain(member[0])))))
    return [reordered(item, rank, turn=turn) for item in node]


def _plain(quoted: str) -> str:
    value = json.loads(quoted)
    return value if isinstance(value, str) else quoted


def _escape(quoted: str, escapes: Escapes) -> str:
    is_ascii = escapes in {Escapes.ASCII, Escapes.ASCII_AND_SLASH}
    text = json.dumps(json.loads(quoted), ensure_ascii=is_ascii)
    if escapes in {Escapes.SLASH, Escapes.ASCII_AND_SLASH}:
        return text.replace("/", "\\/")
    for character in escapes.value if escapes in {Escapes.HTML, Escapes.HTML_AND_EQUALS} else "":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _map(node: Node, change: Callable[[str], str]) -> Node:
    if isinstance(node, str):
        return change(node)
    if isinstance(node, Object):
        return Object(tuple((change(name), _map(member, change)) for name, member in node.members))
    return [_map(item, change) for item in node]


def _tokens(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        yield found[1]


def _node(tokens: Iterator[str]) -> Node:
    return _node_from(next(tokens), tokens)


def _node_from(token: str, tokens: Iterator[str]) -> Node:
    """The text is known to be JSON, so what stands where need not be checked again."""
    if token == "{":  # noqa: S105 - no password
        members: list[tuple[str, Node]] = []
        while (name := next(tokens)) != "}":
            if name == ",":
                continue
            next(tokens)  # the colon
            members.append((name, _node(tokens)))
        return Object(tuple(members))
    if token == "[":  # noqa: S105 - no password
        items: list[Node] = []
        while (first := next(tokens)) != "]":
            if first != ",":
                items.append(_node_from(first, tokens))
        return items
    return token
