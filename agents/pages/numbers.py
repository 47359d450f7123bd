"""What the pages tell of an engine: its condition, lag, age, rates and latencies, as plain values."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine
from eventproc.delivery.history import History
from eventproc.delivery.stats import LATENCY_BUCKETS_SECONDS, Histogram
from eventproc.delivery.watchdog import lag

IDLE_MINUTES: Final = 5

Highwater = Callable[[Any], int | None]


class Condition(enum.Enum):
    """How a destination stands on this worker; in the order in which an operator wants to see them."""

    BREAKER_OPEN = "breaker_open"
    RETRYING = "retrying"
    PAUSED = "paused"
    DRAINING = "draining"
    UP = "up"
    IDLE = "idle"
    ELSEWHERE = "elsewhere"

    @property
    def rank(self) -> int:
        """The place in that order."""
        return _RANKS[self]


_RANKS: Final = {condition: rank for rank, condition in enumerate(Condition)}


def condition_of(engine: Engine, behind: int, history: History) -> Condition:
    """The first that is true of: paused, breaker open, waiting for retries only, draining, at work, idle.

    Args:
        engine: the destination's.
        behind: its lag.
        history: for what it did in the last minutes.
    """
    if engine.is_paused_by_operator:
        return Condition.PAUSED
    if engine.breaker.state is not BreakerState.CLOSED:
        return Condition.BREAKER_OPEN
    if engine.waiting and engine.waits_only_for_retries:
        return Condition.RETRYING
    if engine.is_removed and (engine.waiting or behind):
        return Condition.DRAINING
    if engine.waiting or behind or history.rates(engine, IDLE_MINUTES).delivered:
        return Condition.UP
    return Condition.IDLE if engine.partitions else Condition.ELSEWHERE


def describe(engine: Engine, highwater: Highwater, history: History, now: float) -> dict[str, Any]:
    """One destination in plain JSON; counters are this worker's since its start."""
    stats, oldest = engine.stats, engine.oldest_waiting_ms()
    behind = lag(engine.partitions, highwater)
    return {
        "id": engine.destination.id,
        "topic": engine.destination.topic,
        "condition": condition_of(engine, behind, history).value,
        "breaker": engine.breaker.state.value,
        "standing": engine.standing.value,
        "paused": engine.is_paused_by_operator,
        "removed": engine.is_removed,
        "in_flight": engine.in_flight,
        "in_flight_limit": engine.in_flight_limit,
        "waiting": engine.waiting,
        "lag": behind,
        "oldest_waiting_ms": oldest,
        "oldest_waiting_seconds": None if oldest is None else max(0.0, round(now - oldest / 1000, 3)),
        "partitions": sorted(partition for _, partition in engine.partitions),
        "deliveries": stats.deliveries,
        "rejected": stats.rejected,
        "failed": {kind.value: number for kind, number in stats.failed.items()},
        "dead_lettered": stats.dead_lettered,
        "replays_skipped": stats.replays_skipped,
        "unchanged_skipped": stats.unchanged_skipped,
        "late": stats.late,
    }


def rates(engine: Engine, history: History) -> dict[str, Any]:
    """Events delivered and attempts failed, per second, over three spans of time."""
    found = {}
    for minutes in (1, 5, 15):
        rate = history.rates(engine, minutes)
        found[f"{minutes}_min"] = {
            "delivered_per_second": round(rate.delivered, 4),
            "failed_per_second": round(rate.failed, 4),
            "seconds": round(rate.seconds, 1),
        }
    return found


def latency(histogram: Histogram) -> dict[str, Any]:
    """Percentiles in seconds, as well as the buckets tell them; None where nothing was measured."""
    names = {"p50_seconds": 0.5, "p90_seconds": 0.9, "p99_seconds": 0.99}
    return {name: quantile(histogram, share) for name, share in names.items()} | {"count": histogram.count}


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value below which this share of the values lies, as Prometheus' ``histogram_quantile`` has it.

    Straight between a bucket's bounds; beyond the last bound, that bound: it is "or more" then.
    """
    wanted, below = share * histogram.count, 0
    if not wanted:
        return None
    lower = 0.0
    for upper, count in zip(LATENCY_BUCKETS_SECONDS, histogram.counts, strict=False):
        if count and below + count >= wanted:
            return round(lower + (upper - lower) * (wanted - below) / count, 4)
        below, lower = below + count, upper
    return LATENCY_BUCKETS_SECONDS[-1]
