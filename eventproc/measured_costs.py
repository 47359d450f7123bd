"""What a piece of work costs, as measured: the numbers that ``eventproc plan`` adds up.

They stand in ``measured_costs.json`` and nowhere else. ``python -m bench --write-docs RESULT.json`` writes
those under ``benchmark`` anew, together with the tables of ``docs/performance.md``; those under ``by_hand``
come from measurements that the benchmark does not make, and ``how`` says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from eventproc.errors import EventprocError

FILE_NAME: Final = "measured_costs.json"
_QUIET_EVENTS_PER_SECOND: Final = 100


class CostsError(EventprocError):
    """A file of costs, or a result of the benchmark, that cannot be read; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class BenchmarkCosts:
    """What the benchmark measures; CPU in microseconds of one core.

    Of a delivery the dearest receiver counts, not the fastest: at one that takes no time batches are large,
    and a worker at 60 % of its core does not see such batches.
    """

    measured: str
    """When and where."""
    route_us_per_event: float
    """Reading and reading out an event, however many copies are made of it."""
    route_us_per_copy: float
    """Each record into a destination's topic."""
    delivery_us_jwt: float
    delivery_us_signature: float
    quiet_p50_ms: float
    """From publish to the receiver with little to do; two hops through Kafka."""
    idle_mb: float
    """Memory of a worker with nothing to do and one destination."""


@dataclass(frozen=True, slots=True)
class HandCosts:
    """What was measured by hand, and how."""

    fetch_us_per_partition: float
    destination_idle_bytes: int
    partition_idle_bytes: int
    waiting_event_overhead_bytes: int
    record_overhead_bytes: int
    journal_entry_bytes: int
    topic_name_bytes: int
    how: Mapping[str, str]
    """For each of the fields above: where its number is from."""


@dataclass(frozen=True, slots=True)
class Costs:
    """All of them."""

    benchmark: BenchmarkCosts
    by_hand: HandCosts


def read_costs(text: str) -> Costs:
    """The costs of a file's text.

    Raises:
        CostsError: it is no such file.
    """
    try:
        found = json.loads(text)
        return Costs(BenchmarkCosts(**found["benchmark"]), HandCosts(**found["by_hand"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CostsError(f"costs cannot be read: {error!r}; take {FILE_NAME} from the release") from error


def write_costs(costs: Costs) -> str:
    """The file's text; ``read_costs`` reads it."""
    return json.dumps(asdict(costs), indent=2) + "\n"


def costs_of_result(text: str, otherwise: Costs) -> Costs:
    """The costs by a result of the benchmark; what that run did not measure stays as it is in ``otherwise``.

    Raises:
        CostsError: it is no result of the benchmark.
    """
    try:
        result: dict[str, Any] = json.loads(text)
        changes = {
            **_route(result["route"]),
            **_deliveries(result["sink"]),
            **_quiet(result["end_to_end"]),
            **_memory(result["backlog"]),
        }
        machine = result["machine"]
        kind = "quick" if result["quick"] else "full"
        where = f"{result['date']}, {kind} run, {machine['processor']}, Python {machine['python']}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CostsError(f"no result of `python -m bench`: {error!r}; take one of bench-results") from error
    if not changes:
        return otherwise
    missing = {
        "route_us_per_event",
        "delivery_us_jwt",
        "delivery_us_signature",
        "quiet_p50_ms",
        "idle_mb",
    } - set(changes)
    if missing:
        where += f"; {', '.join(sorted(missing))}: from {otherwise.benchmark.measured.partition(';')[0]}"
    return replace(otherwise, benchmark=replace(otherwise.benchmark, measured=where, **changes))


def _route(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A line through the numbers of topics measured, by least squares; one number alone says no slope."""
    points = [(row["topics"], row["cpu_us_per_event"]) for row in rows]
    count = len({x for x, _ in points})
    if count < 2:
        return {}
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    slope = max(0.0, slope)
    return {
        "route_us_per_event": round(max(0.0, mean_y - slope * mean_x), 1),
        "route_us_per_copy": round(slope, 1),
    }


def _deliveries(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        name = f"delivery_us_{row['auth']}"
        found[name] = max(found.get(name, 0.0), round(row["cpu_us_per_delivery"], 1))
    return found


def _quiet(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The rate nearest to what can be called quiet; the lone event after a rest is not a rate."""
    rates = [row for row in rows if row["events_per_second"]]
    if not rates:
        return {}
    nearest = min(rates, key=lambda row: abs(row["events_per_second"] - _QUIET_EVENTS_PER_SECOND))
    return {"quiet_p50_ms": round(nearest["p50_ms"], 1)}


def _memory(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {"idle_mb": round(max(row["idle_mb"] for row in rows), 1)} if rows else {}
