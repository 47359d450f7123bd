"""A page of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class PageOf(Generic[T]):
    """Rows ``first`` to ``last`` (counted from 1) of ``total``; ``number`` of ``pages``."""

    rows: Sequence[T]
    number: int
    pages: int
    first: int
    last: int
    total: int


def cut(rows: Sequence[T], asked: str | None, size: int = ROWS) -> PageOf[T]:
    """The page of the number asked for; the nearest there is when it is none."""
    pages = max(1, -(-len(rows) // size))
    digits = (asked or "1")[:9]
    number = min(pages, max(1, int(digits) if digits.isascii() and digits.isdigit() else 1))
    start = (number - 1) * size
    part = rows[start : start + size]
    return PageOf(part, number, pages, start + 1 if part else 0, start + len(part), len(rows))
