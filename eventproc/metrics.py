"""Every metric: its name, unit, labels and the question it answers. Read from plain counters at a scrape.

Counters are one worker's since its start; gauges one worker's share. Add them up over workers. No label grows
with traffic: destinations are configuration, the other labels are enumerations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine
from eventproc.delivery.partitions import Partition
from eventproc.delivery.stats import LATENCY_BUCKETS_SECONDS, Histogram
from eventproc.delivery.watchdog import lag
from eventproc.watermark import PartitionProgress

BREAKER_VALUES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

QUESTIONS: Final[dict[str, str]] = {
    "eventproc_deliveries_total": "How many events did the receiver take?",
    "eventproc_attempts_failed_total": "How many requests were not successful, and why?",
    "eventproc_dead_letters_total": "How many events were given up?",
    "eventproc_replays_skipped_total": "How many copies of what was delivered already were not sent again?",
    "eventproc_late_total": "How many events came after a newer state of their transaction?",
    "eventproc_breaker_openings_total": "How often did the endpoint fail for everything?",
    "eventproc_attempt_seconds": "How long does the endpoint take for one request?",
    "eventproc_delivery_seconds": "How long from the anchor's publishing to the receiver's yes?",
    "eventproc_in_flight": "How many requests are under way?",
    "eventproc_waiting": "How many events are in this worker's hands, not delivered?",
    "eventproc_breaker_state": "Is the endpoint up? 0 closed, 1 half-open, 2 open.",
    "eventproc_paused": "Has an operator paused the destination? 1: yes, or not known yet.",
    "eventproc_lag": "How many records of the destination's topic are not done?",
    "eventproc_oldest_undelivered_seconds": "How long has the oldest undelivered event waited? 0: none.",
    "eventproc_routed_total": "How many events were routed, and by what was their client found?",
    "eventproc_invalid_total": "How many records could not be read?",
    "eventproc_unbuildable_total": "How many events had a SEP that no client body exists for?",
    "eventproc_source_lag": "How many records of the anchor's topic are not routed?",
    "eventproc_ready": "Does this worker take part in the work? 1: yes, as /health/ready says.",
    "eventproc_stuck_seconds": "For how long has something in this worker not got on?",
    "eventproc_config_generation": "How many configurations has this worker had in force? 1: its first.",
    "eventproc_reload_failed": "Was the last change of configuration not taken over? 1: see reload.refused.",
    "eventproc_timeline_dropped_total": "How many entries of timelines did Kafka not take in time?",
}


class RouterView(Protocol):
    """What a scrape sees of the router."""

    stats: Any

    @property
    def partitions(self) -> Mapping[Partition, PartitionProgress]:
        """The source partitions that are ours."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from; what ``highwater`` returns gives a partition's end, None if not known."""

    engines: Callable[[], Iterable[Engine]]
    router: RouterView
    highwater: Callable[[], Callable[[Any], int | None]]
    stuck_seconds: Callable[[], float]
    wall: Callable[[], float]
    timeline_dropped: Callable[[], int] = lambda: 0
    is_ready: Callable[[], bool] = lambda: True
    config_generation: Callable[[], int] = lambda: 1
    reload_failed: Callable[[], bool] = lambda: False


class EventprocCollector(Collector):
    """Hands the numbers to the Prometheus client."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Every metric of ``QUESTIONS``, in its order."""
        engines = list(self._sources.engines())
        yield from _counters(engines)
        yield _histogram("eventproc_attempt_seconds", [(e, e.stats.attempt_latency) for e in engines])
        yield _histogram("eventproc_delivery_seconds", [(e, e.stats.delivery_latency) for e in engines])
        yield from self._gauges(engines)
        yield from self._router()
        for name, value in (
            ("eventproc_ready", self._sources.is_ready()),
            ("eventproc_stuck_seconds", self._sources.stuck_seconds()),
            ("eventproc_config_generation", self._sources.config_generation()),
            ("eventproc_reload_failed", self._sources.reload_failed()),
        ):
            gauge = GaugeMetricFamily(name, QUESTIONS[name])
            gauge.add_metric([], value)
            yield gauge
        dropped = _counter("eventproc_timeline_dropped_total")
        dropped.add_metric([], self._sources.timeline_dropped())
        yield dropped

    def _gauges(self, engines: list[Engine]) -> Iterator[Metric]:
        now, highwater = self._sources.wall(), self._sources.highwater()
        yield _gauge("eventproc_in_flight", engines, lambda e: e.in_flight)
        yield _gauge("eventproc_waiting", engines, lambda e: e.waiting)
        yield _gauge("eventproc_breaker_state", engines, lambda e: BREAKER_VALUES[e.breaker.state])
        yield _gauge("eventproc_paused", engines, lambda e: e.is_paused_by_operator)
        yield _gauge("eventproc_lag", engines, lambda e: lag(e.partitions, highwater))
        yield _gauge("eventproc_oldest_undelivered_seconds", engines, lambda e: _age_seconds(e, now))

    def _router(self) -> Iterator[Metric]:
        stats = self._sources.router.stats
        routed = _counter("eventproc_routed_total", "match")
        for match, number in stats.matches.items():
            routed.add_metric([match.value], number)
        yield routed
        for name, number in (
            ("eventproc_invalid_total", stats.invalid),
            ("eventproc_unbuildable_total", stats.unbuildable),
        ):
            family = _counter(name)
            family.add_metric([], number)
            yield family
        source_lag = GaugeMetricFamily("eventproc_source_lag", QUESTIONS["eventproc_source_lag"])
        source_lag.add_metric([], lag(self._sources.router.partitions, self._sources.highwater()))
        yield source_lag


def _counters(engines: list[Engine]) -> Iterator[Metric]:
    delivered = _counter("eventproc_deliveries_total", "destination")
    failed = _counter("eventproc_attempts_failed_total", "destination", "reason")
    plain = {
        "eventproc_dead_letters_total": "dead_lettered",
        "eventproc_replays_skipped_total": "replays_skipped",
        "eventproc_late_total": "late",
        "eventproc_breaker_openings_total": "breaker_openings",
    }
    families = {name: _counter(name, "destination") for name in plain}
    for engine in engines:
        name, stats = engine.destination.id, engine.stats
        delivered.add_metric([name], stats.deliveries)
        failed.add_metric([name, "rejected"], stats.rejected)
        for kind, number in stats.failed.items():
            failed.add_metric([name, kind.value], number)
        for family, attribute in plain.items():
            families[family].add_metric([name], getattr(stats, attribute))
    yield from (delivered, failed, *families.values())


def _counter(name: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name.removesuffix("_total"), QUESTIONS[name], labels=labels)


def _gauge(name: str, engines: list[Engine], value: Callable[[Engine], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, QUESTIONS[name], labels=["destination"])
    for engine in engines:
        family.add_metric([engine.destination.id], value(engine))
    return family


def _histogram(name: str, observed: list[tuple[Engine, Histogram]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, QUESTIONS[name], labels=["destination"])
    bounds = [*map(str, LATENCY_BUCKETS_SECONDS), "+Inf"]
    for engine, histogram in observed:
        cumulative, buckets = 0, []
        for bound, count in zip(bounds, histogram.counts, strict=True):
            cumulative += count
            buckets.append((bound, cumulative))
        family.add_metric([engine.destination.id], buckets, sum_value=histogram.total_seconds)
    return family


def _age_seconds(engine: Engine, now: float) -> float:
    oldest = engine.oldest_waiting_ms()
    return 0.0 if oldest is None else max(0.0, now - oldest / 1000)
