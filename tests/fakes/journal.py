"""A journal that keeps what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeJournal:
    """``told`` has the names of the calls, in their order."""

    told: list[str] = field(default_factory=list)

    def routed(self, *_: Any) -> None:
        self.told.append("routed")

    def invalid(self, *_: Any) -> None:
        self.told.append("invalid")

    def attempted(self, *_: Any) -> None:
        self.told.append("attempted")

    def dead_lettered(self, *_: Any) -> None:
        self.told.append("dead_lettered")

    def skipped(self, *_: Any) -> None:
        self.told.append("skipped")
