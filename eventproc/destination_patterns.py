"""Which destinations an operator's words mean: ``callback-api``, ``client.acme``, ``client.*.sep24``."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection

from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId


class UnknownNameError(EventprocError):
    """A name that is none; ``nearest`` are the right ones that look most like it."""

    def __init__(self, kind: str, name: str, known: Collection[str]) -> None:
        self.nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known)[:3]
        hint = f"Did you mean {' or '.join(self.nearest)}?" if known else "None is configured."
        super().__init__(f"No {kind} {name}. {hint}")


def stands_for(pattern: str, destination: str) -> bool:
    """Whether the pattern means this destination: its name, what it is below, or a glob that fits it."""
    return (
        destination == pattern
        or destination.startswith(f"{pattern}.")
        or fnmatch.fnmatchcase(destination, pattern)
    )


def choose(patterns: Collection[str], known: Collection[DestinationId]) -> list[DestinationId]:
    """The destinations that the patterns mean, in the order of ``known``; no pattern means all.

    Raises:
        UnknownNameError: a pattern means none.
    """
    for pattern in patterns:
        if not any(stands_for(pattern, destination) for destination in known):
            raise UnknownNameError("destination", pattern, known)
    return [one for one in known if not patterns or any(stands_for(pattern, one) for pattern in patterns)]
