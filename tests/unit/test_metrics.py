"""Every metric: named, explained, counted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.router import RouterStats
from eventproc.delivery.engine import Engine
from eventproc.metrics import QUESTIONS, EventprocCollector, Sources
from eventproc.routing import ClientMatch
from tests.fakes.clock import settle
from tests.fakes.sender import status
from tests.unit.delivery.test_engine import PARTITION, World, failing

NAMES = {
    "eventproc_deliveries_total",
    "eventproc_attempts_failed_total",
    "eventproc_dead_letters_total",
    "eventproc_replays_skipped_total",
    "eventproc_late_total",
    "eventproc_breaker_openings_total",
    "eventproc_attempt_seconds",
    "eventproc_delivery_seconds",
    "eventproc_in_flight",
    "eventproc_waiting",
    "eventproc_breaker_state",
    "eventproc_paused",
    "eventproc_lag",
    "eventproc_oldest_undelivered_seconds",
    "eventproc_routed_total",
    "eventproc_invalid_total",
    "eventproc_unbuildable_total",
    "eventproc_source_lag",
    "eventproc_ready",
    "eventproc_stuck_seconds",
    "eventproc_config_generation",
    "eventproc_reload_failed",
    "eventproc_timeline_dropped_total",
}


def scrape(engine: Engine, wall: float, *, is_ready: bool = True) -> dict[str, float]:
    stats = RouterStats(invalid=3, unbuildable=1)
    stats.matches[ClientMatch.UNKNOWN_CUSTOMER] = 2
    router = SimpleNamespace(stats=stats, partitions={})
    registry = CollectorRegistry()
    sources = Sources(
        lambda: [engine],
        router,
        lambda: {PARTITION: 5}.get,
        lambda: 1.5,
        lambda: wall,
        is_ready=lambda: is_ready,
    )
    registry.register(EventprocCollector(sources))
    text = generate_latest(registry).decode()
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_names_are_what_dashboards_know() -> None:
    assert set(QUESTIONS) == NAMES


def test_operators_find_every_metric_and_its_question_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    for name, question in QUESTIONS.items():
        assert f"| `{name}` | {question} |" in page


async def test_a_scrape_tells_what_happened() -> None:
    world = World()
    world.sender.script = failing("e1", reply=status(500))
    for offset in range(3):
        world.accept(offset, f"t{offset}")
    await settle()
    seen = scrape(world.engine, 1_795_500_060.0)
    assert seen["eventproc_deliveries_total[test]"] == 2
    assert seen["eventproc_attempts_failed_total[test][status]"] == 1
    assert seen["eventproc_attempt_seconds_count[test]"] == 3
    assert seen["eventproc_delivery_seconds_bucket[test][+Inf]"] == 2
    assert seen["eventproc_waiting[test]"] == 1
    assert seen["eventproc_breaker_state[test]"] == 0
    assert seen["eventproc_paused[test]"] == 0
    world.engine.pause()
    assert scrape(world.engine, 1_795_500_060.0)["eventproc_paused[test]"] == 1
    assert seen["eventproc_lag[test]"] == 4, "everything from the stuck event on"
    assert seen["eventproc_oldest_undelivered_seconds[test]"] == 60
    assert seen["eventproc_routed_total[unknown_customer]"] == 2
    assert seen["eventproc_invalid_total"] == 3
    assert seen["eventproc_stuck_seconds"] == 1.5
    assert seen["eventproc_ready"] == 1
    assert scrape(world.engine, 0.0, is_ready=False)["eventproc_ready"] == 0


async def test_every_metric_is_in_a_scrape() -> None:
    world = World()
    names = {name.partition("[")[0] for name in scrape(world.engine, 0.0)}
    for name in NAMES - {"eventproc_attempt_seconds", "eventproc_delivery_seconds"}:
        assert name in names, name
