"""Every metric: its name, unit, labels and the question it answers. Read from plain counters at a scrape.

Counters are one worker's since its start; gauges one worker's share. Add them up over workers, except for
``eventproc_dead_letters_waiting``, which is the whole installation's on every worker. No label grows with
traffic: destinations are configuration, the other labels are enumerations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from eventproc.acceptance import Standing
from eventproc.breaker import BreakerState
from eventproc.delivery.engine import Engine
from eventproc.delivery.partitions import Partition
from eventproc.delivery.stats import LATENCY_BUCKETS_SECONDS, Histogram
from eventproc.delivery.topic_troubles import TopicTrouble
from eventproc.delivery.watchdog import lag
from eventproc.identifiers import DestinationId
from eventproc.metrics_text import Buckets, Family, Row, text_of
from eventproc.watermark import PartitionProgress

BUCKET_BOUNDS: Final = (*map(str, LATENCY_BUCKETS_SECONDS), "+Inf")

BREAKER_VALUES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

NOT_CONFIGURED: Final = DestinationId("(not configured)")

QUESTIONS: Final[dict[str, str]] = {
    "eventproc_deliveries_total": "How many events did the receiver take?",
    "eventproc_attempts_failed_total": "How many requests were not successful, and why?",
    "eventproc_dead_letters_total": "How many events were given up?",
    "eventproc_replays_skipped_total": "How many copies of what was delivered already were not sent again?",
    "eventproc_unchanged_skipped_total": "How many updates of a customer had nothing new and were not sent?",
    "eventproc_late_total": "How many events came after a newer state of their transaction?",
    "eventproc_breaker_openings_total": "How often did the endpoint fail for everything?",
    "eventproc_attempt_seconds": "How long does the endpoint take for one request?",
    "eventproc_delivery_seconds": "How long from the anchor's publishing to the receiver's yes?",
    "eventproc_dead_letters_waiting": "How many dead letters wait for a redrive? The same on every worker.",
    "eventproc_dead_letters_unwritten": "How many dead letters has Kafka not acknowledged?",
    "eventproc_in_flight": "How many requests are under way?",
    "eventproc_in_flight_limit": "How many may be? Fewer than configured: the receiver serves no more.",
    "eventproc_waiting": "How many events are in this worker's hands, not delivered?",
    "eventproc_breaker_state": "Is the endpoint up? 0 closed, 1 half-open, 2 open.",
    "eventproc_unproven": "Has it accepted no event since its URL, key or certificate changed? 1: so.",
    "eventproc_paused": "Has an operator paused the destination? 1: yes, or not known yet.",
    "eventproc_lag": "How many records of the destination's topic are not done?",
    "eventproc_oldest_undelivered_seconds": "How long has the oldest undelivered event waited? 0: none.",
    "eventproc_routed_total": "How many events were routed, and by what was their client found?",
    "eventproc_invalid_total": "How many records could not be read?",
    "eventproc_contested_customers": "How many customers do clients name that do not receive their updates?",
    "eventproc_unbuildable_total": "How many events had a SEP that no client body exists for?",
    "eventproc_source_lag": "How many records of the anchor's topic are not routed?",
    "eventproc_expired_total": "How many records of a topic did Kafka delete before they were done?",
    "eventproc_held_bytes": "How many bytes of events does this worker hold, and where?",
    "eventproc_held_bytes_max": "How many may it hold there before it holds back?",
    "eventproc_partition_stopped_offset": "At which offset does a partition stand still, unreadable?",
    "eventproc_ready": "Does this worker take part in the work? 1: yes, as /health/ready says.",
    "eventproc_stuck_seconds": "For how long has something in this worker not got on?",
    "eventproc_kafka_unreachable_seconds": "For how long has this worker not reached Kafka? 0: it does.",
    "eventproc_config_generation": "How many configurations has this worker had in force? 1: its first.",
    "eventproc_reload_failed": "Was the last change of configuration not taken over? 1: see reload.refused.",
    "eventproc_names_unanswered": "How many receivers' names do their name servers not answer for?",
    "eventproc_topic_not_writable_seconds": "For how long has a topic not taken records? No row: it does.",
    "eventproc_timeline_dropped_total": "How many entries of timelines did Kafka not take in time?",
}


class RouterView(Protocol):
    """What a scrape sees of the router."""

    stats: Any

    @property
    def contested_customers(self) -> int:
        """Of the customer index, which is the same on every worker."""

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
    names_unanswered: Callable[[], int] = lambda: 0
    topic_troubles: Callable[[], Mapping[str, TopicTrouble]] = dict
    kafka_unreachable_seconds: Callable[[], float] = lambda: 0.0
    expired: Callable[[], Mapping[str, int]] = dict
    held_bytes: Callable[[], Mapping[str, tuple[int, int]]] = dict
    stopped: Callable[[], Mapping[Partition, int]] = dict
    letters_waiting: Callable[[], Mapping[DestinationId, int] | None] = dict


class EventprocCollector(Collector):
    """Hands the numbers out: to the Prometheus client, or as its text, which it makes too slowly."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Every metric of ``QUESTIONS``, in its order."""
        return (family.filled() for family in self._families())

    def text(self) -> Iterator[str]:
        """The same in Prometheus' form, row by row: whoever joins them may let others work in between."""
        for family in self._families():
            yield from text_of(family)

    def _families(self) -> Iterator[Family]:
        sources, engines = self._sources, list(self._sources.engines())
        now, highwater = sources.wall(), sources.highwater()
        yield from _counters(engines)
        yield _histogram("eventproc_attempt_seconds", engines, lambda e: e.stats.attempt_latency)
        yield _histogram("eventproc_delivery_seconds", engines, lambda e: e.stats.delivery_latency)
        yield _letters_waiting(engines, sources.letters_waiting())
        yield _gauge("eventproc_dead_letters_unwritten", engines, lambda e: e.dead_letters_unwritten)
        yield _gauge("eventproc_in_flight", engines, lambda e: e.in_flight)
        yield _gauge("eventproc_in_flight_limit", engines, lambda e: e.in_flight_limit)
        yield _gauge("eventproc_waiting", engines, lambda e: e.waiting)
        yield _gauge("eventproc_breaker_state", engines, lambda e: BREAKER_VALUES[e.breaker.state])
        yield _gauge("eventproc_unproven", engines, lambda e: e.standing is not Standing.PROVEN)
        yield _gauge("eventproc_paused", engines, lambda e: e.is_paused_by_operator)
        yield _gauge("eventproc_lag", engines, lambda e: lag(e.partitions, highwater))
        yield _gauge("eventproc_oldest_undelivered_seconds", engines, lambda e: _age_seconds(e, now))
        yield from self._router(highwater)
        expired = (((topic,), number) for topic, number in sources.expired().items())
        yield _counter("eventproc_expired_total", ("topic",), expired)
        yield from _held_bytes(sources.held_bytes())
        for name, value in (
            ("eventproc_ready", sources.is_ready()),
            ("eventproc_stuck_seconds", sources.stuck_seconds()),
            ("eventproc_kafka_unreachable_seconds", sources.kafka_unreachable_seconds()),
            ("eventproc_config_generation", sources.config_generation()),
            ("eventproc_reload_failed", sources.reload_failed()),
            ("eventproc_names_unanswered", sources.names_unanswered()),
        ):
            yield Family(GaugeMetricFamily(name, QUESTIONS[name]), (), [((), value)])
        name = "eventproc_topic_not_writable_seconds"
        ages = [((topic,), max(0.0, now - one.since)) for topic, one in sources.topic_troubles().items()]
        yield Family(GaugeMetricFamily(name, QUESTIONS[name], labels=["topic"]), ("topic",), ages)
        yield _counter("eventproc_timeline_dropped_total", (), [((), sources.timeline_dropped())])

    def _router(self, highwater: Callable[[Any], int | None]) -> Iterator[Family]:
        router = self._sources.router
        matches = [((match.value,), number) for match, number in router.stats.matches.items()]
        yield _counter("eventproc_routed_total", ("match",), matches)
        yield _counter("eventproc_invalid_total", (), [((), router.stats.invalid)])
        contested = "eventproc_contested_customers"
        yield Family(
            GaugeMetricFamily(contested, QUESTIONS[contested]), (), [((), router.contested_customers)]
        )
        yield _counter("eventproc_unbuildable_total", (), [((), router.stats.unbuildable)])
        source_lag = GaugeMetricFamily("eventproc_source_lag", QUESTIONS["eventproc_source_lag"])
        yield Family(source_lag, (), [((), lag(router.partitions, highwater))])
        name, labels = "eventproc_partition_stopped_offset", ("partition", "topic")
        stopped = [((str(number), topic), at) for (topic, number), at in self._sources.stopped().items()]
        yield Family(GaugeMetricFamily(name, QUESTIONS[name], labels=labels), labels, stopped)


def _letters_waiting(engines: list[Engine], waiting: Mapping[DestinationId, int] | None) -> Family:
    """A row for each destination; one more for all that are not configured, as a record can name any."""
    name = "eventproc_dead_letters_waiting"
    family = GaugeMetricFamily(name, QUESTIONS[name], labels=["destination"])
    if waiting is None:
        return Family(family, ("destination",), [])
    rows = {engine.destination.id: waiting.get(engine.destination.id, 0) for engine in engines}
    others = sum(waiting.values()) - sum(rows.values())
    rows |= {NOT_CONFIGURED: others} if others else {}
    return Family(family, ("destination",), [((id_,), number) for id_, number in rows.items()])


def _held_bytes(by_place: Mapping[str, tuple[int, int]]) -> Iterator[Family]:
    for index, name in enumerate(("eventproc_held_bytes", "eventproc_held_bytes_max")):
        family = GaugeMetricFamily(name, QUESTIONS[name], labels=["place"])
        yield Family(family, ("place",), [((place,), pair[index]) for place, pair in by_place.items()])


def _counters(engines: list[Engine]) -> Iterator[Family]:
    def failures() -> Iterator[Row]:
        for engine in engines:
            name, stats = engine.destination.id, engine.stats
            yield (name, "rejected"), stats.rejected
            for kind, number in list(stats.failed.items()):  # others deliver in between
                yield (name, kind.value), number

    def count(name: str, value: Callable[[Engine], int]) -> Family:
        return _counter(name, ("destination",), (((e.destination.id,), value(e)) for e in engines))

    yield count("eventproc_deliveries_total", lambda e: e.stats.deliveries)
    yield _counter("eventproc_attempts_failed_total", ("destination", "reason"), failures())
    yield count("eventproc_dead_letters_total", lambda e: e.stats.dead_lettered)
    yield count("eventproc_replays_skipped_total", lambda e: e.stats.replays_skipped)
    yield count("eventproc_unchanged_skipped_total", lambda e: e.stats.unchanged_skipped)
    yield count("eventproc_late_total", lambda e: e.stats.late)
    yield count("eventproc_breaker_openings_total", lambda e: e.stats.breaker_openings)


def _counter(name: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Family:
    family = CounterMetricFamily(name.removesuffix("_total"), QUESTIONS[name], labels=labels)
    return Family(family, labels, rows)


def _gauge(name: str, engines: list[Engine], value: Callable[[Engine], float]) -> Family:
    family = GaugeMetricFamily(name, QUESTIONS[name], labels=["destination"])
    return Family(family, ("destination",), (((e.destination.id,), value(e)) for e in engines))


def _histogram(name: str, engines: list[Engine], observed: Callable[[Engine], Histogram]) -> Family:
    family = HistogramMetricFamily(name, QUESTIONS[name], labels=["destination"])
    rows = (((e.destination.id,), _buckets(observed(e))) for e in engines)
    return Family(family, ("destination",), rows)


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(BUCKET_BOUNDS, tuple(accumulate(histogram.counts)), histogram.total_seconds)


def _age_seconds(engine: Engine, now: float) -> float:
    oldest = engine.oldest_waiting_ms()
    return 0.0 if oldest is None else max(0.0, now - oldest / 1000)
