"""What the way of an event tells its journal, and a tracer if there is one: calls that neither wait nor fail.

``journal_writer.py`` writes it down; who asks for a transaction's timeline reads it (``timeline_reader.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from eventproc.dead_letters import DeadLetter
from eventproc.delivery.inbound import Job
from eventproc.destinations import Destination
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.outcomes import Delivered, Failed, Rejected
from eventproc.records import Source
from eventproc.routing import Route


class Timing(NamedTuple):
    """One request: its start, how long it took, and when the next is planned, None for never.

    ``at`` and ``next_try_at`` are seconds since the epoch.
    """

    at: float
    seconds: float
    next_try_at: float | None


class Journal(Protocol):
    """Takes notes."""

    def routed(self, event: Event, source: Source, route: Route) -> None:
        """An event goes to these destinations."""

    def invalid(self, key: bytes | None, source: Source, reason: str, detail: str) -> None:
        """A record of the source went to the invalid topic."""

    def attempted(
        self,
        destination: DestinationId,
        job: Job,
        outcome: Delivered | Rejected | Failed,
        timing: Timing,
    ) -> None:
        """One request is over, and it is decided what follows."""

    def dead_lettered(self, letter: DeadLetter, job: Job) -> None:
        """An event was set aside, and the dead-letter topic has acknowledged it."""

    def skipped(self, destination: DestinationId, job: Job, why: str) -> None:
        """An event needed no request: ``stale`` or ``replay``."""


class Tracer(Protocol):
    """Takes part where traces need more than a note: what is handed on."""

    def routing(self, event: Event, source: Source, route: Route, traceparent: bytes | None) -> bytes | None:
        """The ``traceparent`` for an event's copies, in place of its record's own."""

    def attempting(self, destination: Destination, job: Job, headers: dict[str, str]) -> None:
        """A request is about to go out; may add to its headers."""


class _NoJournal:
    """For ``timeline.enabled: false``."""

    def routed(self, event: Event, source: Source, route: Route) -> None: ...

    def invalid(self, key: bytes | None, source: Source, reason: str, detail: str) -> None: ...

    def attempted(
        self,
        destination: DestinationId,
        job: Job,
        outcome: Delivered | Rejected | Failed,
        timing: Timing,
    ) -> None: ...

    def dead_lettered(self, letter: DeadLetter, job: Job) -> None: ...

    def skipped(self, destination: DestinationId, job: Job, why: str) -> None: ...


NO_JOURNAL: Final[Journal] = _NoJournal()
