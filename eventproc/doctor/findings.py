"""What a check says: about what, how it stands, and the way out."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class State(enum.Enum):
    """How something stands."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``subject`` is a destination's id, a topic, a broker; ``name`` is what was looked at."""

    subject: str
    name: str
    state: State
    what: str
    way_out: str = ""


def ok(subject: str, name: str, what: str) -> Check:
    """All is well."""
    return Check(subject, name, State.OK, what)


def warning(subject: str, name: str, what: str, way_out: str) -> Check:
    """It works, and will hurt one day."""
    return Check(subject, name, State.WARNING, what, way_out)


def problem(subject: str, name: str, what: str, way_out: str) -> Check:
    """It does not work."""
    return Check(subject, name, State.PROBLEM, what, way_out)


def skipped(subject: str, name: str, what: str, way_out: str = "") -> Check:
    """It could not be looked at."""
    return Check(subject, name, State.SKIPPED, what, way_out)


def count(checks: Iterable[Check], state: State) -> int:
    """How many stand so."""
    return sum(check.state is state for check in checks)
