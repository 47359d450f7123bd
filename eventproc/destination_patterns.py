"""Which destinations an operator's words mean: ``callback-api``, ``client.acme``, ``client.*.sep24``."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Sequence

from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId


class UnknownDestinationError(EventprocError):
    """No destination is meant; ``nearest`` are the right names that look most like it."""

    def __init__(self, pattern: str, nearest: Sequence[str]) -> None:
        self.pattern = pattern
        self.nearest = list(nearest)
        hint = f"Did you mean {' or '.join(nearest)}?" if nearest else "None is configured."
        super().__init__(f"No destination {pattern}. {hint}")


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
        UnknownDestinationError: a pattern means none.
    """
    for pattern in patterns:
        if not any(stands_for(pattern, destination) for destination in known):
            raise UnknownDestinationError(pattern, _nearest(pattern, known))
    return [one for one in known if not patterns or any(stands_for(pattern, one) for pattern in patterns)]


def _nearest(pattern: str, known: Collection[str]) -> list[str]:
    near = difflib.get_close_matches(pattern, known, n=3, cutoff=0.5)
    return near or sorted(known)[:3]
