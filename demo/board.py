"""What has arrived: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from demo.expectations import Delivery, Sample
from tests.servers.request_record import RequestRecord

_LINES_AROUND_TABLE = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, with what is known of its event."""

    seconds: float  # since the events were published
    delivery: Delivery | None  # None: a request without an event id
    receiver: str
    path: str
    sample: Sample | None
    problem: str | None


class Board:
    """Counts arrivals against expectations and shows them."""

    def __init__(self, console: Console, samples: Iterable[Sample], expected: set[Delivery]) -> None:
        self.facts: dict[str, str] = {}
        self._console = console
        self._samples = {sample.event_id: sample for sample in samples if sample.event_id is not None}
        self._expected = expected
        self._arrivals: list[Arrival] = []
        self._verified: set[Delivery] = set()
        self._published_at: float | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=False)

    @property
    def is_complete(self) -> bool:
        """Whether every expected delivery has arrived verified."""
        return self._expected <= self._verified

    @property
    def problems(self) -> list[str]:
        """What went wrong: requests that could not be verified or were not expected, deliveries that miss."""
        problems = [f"{a.receiver} {a.path}: {a.problem}" for a in self._arrivals if a.problem is not None]
        problems += [
            f"{a.receiver} {a.path}: not expected" for a in self._arrivals if a.delivery not in self._expected
        ]
        missing = sorted(self._expected - self._verified, key=lambda d: (d.receiver, d.path, d.event_id))
        return problems + [
            f"{d.receiver} {d.path}: event {d.event_id} did not arrive verified" for d in missing
        ]

    @property
    def summary(self) -> str:
        """The closing line."""
        return f"demo: {len(self._expected & self._verified)} of {len(self._expected)} deliveries verified"

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The last state stays on the terminal.
        self._live.stop()

    def tell(self, name: str, fact: str) -> None:
        """Something to know for as long as the demo runs: an address, a number."""
        self.facts[name] = fact
        if not self._console.is_terminal:
            self._print(f"{name}: {fact}")

    def published(self) -> None:
        """The clock of the arrivals starts."""
        self._published_at = time.monotonic()

    def arrived(self, receiver: str, record: RequestRecord) -> None:
        """Notes a request."""
        event_id = record.event_id
        delivery = None if event_id is None else Delivery(receiver, record.path, event_id)
        if delivery is not None and record.verified:
            self._verified.add(delivery)
        began = record.arrived_at if self._published_at is None else self._published_at
        sample = self._samples.get(event_id or "")
        arrival = Arrival(record.arrived_at - began, delivery, receiver, record.path, sample, record.problem)
        self._arrivals.append(arrival)
        if not self._console.is_terminal:
            self._print("  ".join(_cells(arrival)))

    def end(self, problems: Iterable[str]) -> None:
        """Prints what went wrong, and the summary as the last line."""
        self._live.stop()
        for problem in problems:
            self._print(f"problem: {problem}")
        self._print(self.summary)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        table = Table("after", "receiver", "path", "event", "type", "status", "verified", expand=True)
        rows = max(3, self._console.height - _LINES_AROUND_TABLE - len(self.facts))
        for arrival in self._arrivals[-rows:]:
            table.add_row(*_cells(arrival), style="" if arrival.problem is None else "red")
        facts = (Text(f"{name}: {fact}") for name, fact in self.facts.items())
        return Group(*facts, table)


def _cells(arrival: Arrival) -> list[str]:
    sample = arrival.sample
    return [
        f"{arrival.seconds * 1000:6.0f} ms",
        arrival.receiver,
        arrival.path,
        sample.name if sample else "unknown",
        sample.type if sample else "",
        sample.status if sample else "",
        "verified" if arrival.problem is None else f"NOT VERIFIED: {arrival.problem}",
    ]
