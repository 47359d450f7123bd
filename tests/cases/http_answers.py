"""``http-answers.json``: what a receiver's socket answers, and whether the event counts as delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Right: TypeAlias = Literal["taken", "failed", "either"]


@dataclass(frozen=True, slots=True)
class AnswerCase:
    """One answer; ``closes``: the receiver closes the connection behind it."""

    name: str
    answer: bytes
    closes: bool
    right: Right


def http_answers() -> list[AnswerCase]:
    """All of the file."""
    found = json.loads(Path(__file__).with_name("http-answers.json").read_text("utf-8"))
    return [AnswerCase(one["name"], _bytes(one["latin1"]), one["closes"], one["right"]) for one in found]


def _bytes(text: str | list[str | dict[str, str | int]]) -> bytes:
    """Text, or a list of texts and of ``{"repeat", "times"}``."""
    pieces = [text] if isinstance(text, str) else text
    return "".join(
        piece if isinstance(piece, str) else str(piece["repeat"]) * int(piece["times"]) for piece in pieces
    ).encode("latin-1")
