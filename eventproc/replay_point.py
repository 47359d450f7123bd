"""From where a replay that was ended goes on: a short text that an operator copies, and what it holds.

A point has what was asked for, up to where each source partition is sent whole, and a sum over what is left.
It has no list of events: the source is read and routed once more, and what follows the point must give the
same sum, or nothing is sent. So a changed configuration, a source that was made again and events that expired
are noticed. The sum is of a hash for each event, and each that is sent is taken off it.

Considered: a file with the plan. It would be as large as the replay and would stay on the machine, or in the
container, that died.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId
from eventproc.replay import Place, ReplayPlan

VERSION: Final = 1
_SUM_BYTES: Final = 8


class ResumePointError(EventprocError):
    """A text that is no resume point, or one from which the same replay cannot be continued."""


@dataclass(slots=True)
class Rest:
    """What is left of a plan: a span of each source partition, and ``total``, the sum over its events."""

    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: int = 0
    copies: int = 0
    total: int = 0

    @classmethod
    def of_plan(cls, plan: ReplayPlan) -> Rest:
        """Everything of a plan."""
        rest = cls(plan.spans(), len(plan.copies), plan.copy_count)
        for place, destinations in plan.copies.items():
            rest.total = _sum(rest.total + _hash(place, destinations))
        return rest

    def take(self, place: Place, destinations: Iterable[DestinationId]) -> None:
        """This event, the next of its partition, is sent whole."""
        wanted = tuple(destinations)
        _, end = self.spans[place.partition]
        self.spans[place.partition] = place.offset + 1, end
        self.events -= 1
        self.copies -= len(wanted)
        self.total = _sum(self.total - _hash(place, wanted))

    def holds(self, partition: int, offset: int) -> bool:
        """Whether a source record is in one of the spans."""
        begin, end = self.spans.get(partition, (0, 0))
        return begin <= offset < end

    def end_of(self, partition: int) -> int:
        """The offset after the last event of a source partition."""
        return self.spans.get(partition, (0, 0))[1]

    def require(self, found: Rest) -> None:
        """Return when ``found`` is the same rest.

        Raises:
            ResumePointError: what is there now differs from what was shown.
        """
        if (found.events, found.copies, found.total) != (self.events, self.copies, self.total):
            raise ResumePointError(
                f"{self.events} events in {self.copies} copies were left of this replay; what is there now "
                f"gives {found.events} events in {found.copies}, or others. The configuration or the "
                "customers' clients have changed, or events have expired. Nothing was sent: "
                "start another replay."
            )


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What the text holds.

    ``at`` is the mark that receivers see (ISO-8601 UTC). The times (ms since the epoch), lanes, patterns of
    destinations and names of clients are what was asked for.
    """

    at: str
    rest: Rest
    since_ms: int | None = None
    until_ms: int | None = None
    lanes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    latest_state_only: bool = False

    def text(self) -> str:
        """The point for a command line: letters, digits, ``-`` and ``_``."""
        rest = self.rest
        spans = [[partition, *span] for partition, span in sorted(rest.spans.items())]
        contents = [
            VERSION, self.at, spans, rest.events, rest.copies, rest.total, self.since_ms, self.until_ms,
            list(self.lanes), list(self.patterns), list(self.clients), self.latest_state_only,
        ]  # fmt: skip
        packed = zlib.compress(json.dumps(contents, separators=(",", ":")).encode(), 9)
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_point(text: str) -> ResumePoint:
    """The point of a text.

    Raises:
        ResumePointError: it is none; nothing of it is trusted but its form.
    """
    try:
        packed = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), altchars="-_", validate=True)
        version, *contents = json.loads(zlib.decompress(packed))
        if version == VERSION:
            return _of_contents(*contents)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, zlib.error) as error:
        raise ResumePointError(
            "This is no resume point of `eventproc replay`: copy the whole of it."
        ) from error
    raise ResumePointError(f"The resume point is of version {version!r}, not {VERSION}.")


def _of_contents(  # noqa: PLR0917 - the order of the text
    at: str,
    spans: list[list[int]],
    events: int,
    copies: int,
    total: int,
    since_ms: int | None,
    until_ms: int | None,
    lanes: list[str],
    patterns: list[str],
    clients: list[str],
    latest_state_only: Any,
) -> ResumePoint:
    rest = Rest(
        {int(partition): (int(begin), int(end)) for partition, begin, end in spans},
        int(events), int(copies), int(total),
    )  # fmt: skip
    return ResumePoint(
        str(at),
        rest,
        None if since_ms is None else int(since_ms),
        None if until_ms is None else int(until_ms),
        tuple(map(str, lanes)),
        tuple(map(str, patterns)),
        tuple(map(str, clients)),
        bool(latest_state_only),
    )


def _hash(place: Place, destinations: Iterable[DestinationId]) -> int:
    text = "\0".join((*map(str, place), *sorted(destinations)))
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=_SUM_BYTES).digest(), "big")


def _sum(number: int) -> int:
    return number % (1 << 8 * _SUM_BYTES)
