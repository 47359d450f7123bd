"""``survivors.yaml``: the mutants that no test kills, each with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("survivors.yaml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """One entry: the function, the line as it is, the line of the mutant, and why no test kills it."""

    function: str
    was: str
    now: str
    why: str
    equivalent: bool = True

    @property
    def identity(self) -> tuple[str, str, str]:
        """What a mutant has in common with its entry, also after lines have moved."""
        return self.function, self.was, self.now


def survivors(name: str) -> list[Survivor]:
    """Return the entries of one target of ``modules.TARGETS``."""
    entries = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [Survivor(**entry) for entry in entries.get(name, [])]
