"""Every metric: named, explained, counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.pages.health import SLICE_SECONDS, in_slices
from agents.router import RouterStats
from eventproc.delivery.engine import Engine
from eventproc.delivery.topic_troubles import TopicTrouble
from eventproc.identifiers import DestinationId
from eventproc.metrics import QUESTIONS, EventprocCollector, Sources
from eventproc.outcomes import FailureKind
from eventproc.ownership import ClientMatch
from tests.fakes.clock import settle
from tests.fakes.sender import status
from tests.unit.delivery.test_engine import PARTITION, World, failing

NAMES = {
    "eventproc_deliveries_total",
    "eventproc_attempts_failed_total",
    "eventproc_dead_letters_total",
    "eventproc_replays_skipped_total",
    "eventproc_unchanged_skipped_total",
    "eventproc_late_total",
    "eventproc_breaker_openings_total",
    "eventproc_attempt_seconds",
    "eventproc_delivery_seconds",
    "eventproc_dead_letters_waiting",
    "eventproc_dead_letters_unwritten",
    "eventproc_in_flight",
    "eventproc_in_flight_limit",
    "eventproc_waiting",
    "eventproc_breaker_state",
    "eventproc_unproven",
    "eventproc_paused",
    "eventproc_lag",
    "eventproc_oldest_undelivered_seconds",
    "eventproc_routed_total",
    "eventproc_invalid_total",
    "eventproc_unbuildable_total",
    "eventproc_source_lag",
    "eventproc_expired_total",
    "eventproc_held_bytes",
    "eventproc_held_bytes_max",
    "eventproc_partition_stopped_offset",
    "eventproc_ready",
    "eventproc_contested_customers",
    "eventproc_stuck_seconds",
    "eventproc_kafka_unreachable_seconds",
    "eventproc_config_generation",
    "eventproc_reload_failed",
    "eventproc_topic_not_writable_seconds",
    "eventproc_names_unanswered",
    "eventproc_timeline_dropped_total",
}


def collector(
    *engines: Engine,
    wall: float = 0.0,
    is_ready: bool = True,
    letters_waiting: Mapping[DestinationId, int] | None = None,
) -> EventprocCollector:
    stats = RouterStats(invalid=3, unbuildable=1)
    stats.matches[ClientMatch.UNKNOWN_CUSTOMER] = 2
    router = SimpleNamespace(stats=stats, partitions={}, contested_customers=4)
    sources = Sources(
        lambda: engines,
        router,
        lambda: {PARTITION: 5}.get,
        lambda: 1.5,
        lambda: wall,
        is_ready=lambda: is_ready,
        topic_troubles=lambda: {"eventproc.dead-letter": TopicTrouble(wall - 5, "NotEnoughReplicas")},
        expired=lambda: {"TRANSACTION": 4},
        letters_waiting=lambda: letters_waiting,
        held_bytes=lambda: {"waiting": (5, 100), "routing": (0, 25)},
        stopped=lambda: {PARTITION: 5},
    )
    return EventprocCollector(sources)


def scrape(
    engine: Engine,
    wall: float,
    *,
    is_ready: bool = True,
    letters_waiting: Mapping[DestinationId, int] | None = MappingProxyType({}),
) -> dict[str, float]:
    one = collector(engine, wall=wall, is_ready=is_ready, letters_waiting=letters_waiting)
    text = "".join(one.text())
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


async def test_dead_letters_have_a_row_for_each_destination_and_one_for_all_others() -> None:
    """A record can name any destination, and no label may grow with what others write."""
    others = {DestinationId(f"foreign{number}"): 2 for number in range(3)}

    def rows(waiting: Mapping[DestinationId, int] | None) -> dict[str, float]:
        world = World()
        found = scrape(world.engine, 0.0, letters_waiting=waiting)
        name = "eventproc_dead_letters_waiting"
        return {row.removeprefix(name): value for row, value in found.items() if row.startswith(name)}

    assert rows(None) == {}, "a worker that has not read the topic knows no number"
    assert rows({}) == {"[test]": 0}
    assert rows({DestinationId("test"): 3} | others) == {"[test]": 3, "[(not configured)]": 6}


async def test_every_metric_is_in_a_scrape() -> None:
    world = World()
    names = {name.partition("[")[0] for name in scrape(world.engine, 0.0)}
    for name in NAMES - {"eventproc_attempt_seconds", "eventproc_delivery_seconds"}:
        assert name in names, name


NAMES_OF_ALL_KINDS = ["client.acme.sep24", 'a"b\\c', "a\nb", "é\u2028ß", "{}=,", ""]
COUNTS = [0, 1, 999_999, 1_000_000, 1_234_567, 2**53, 10**22]
SECONDS = [0.0, 0.005, 1e-7, 1234567.891, 60.0, 86_400.5]


async def test_our_text_is_the_client_s_byte_by_byte() -> None:
    """Ours is there because the client's takes seconds; it must be no other text."""
    worlds = [World() for _ in NAMES_OF_ALL_KINDS]
    for number, (world, name) in enumerate(zip(worlds, NAMES_OF_ALL_KINDS, strict=True)):
        world.engine.destination = replace(world.engine.destination, id=DestinationId(name))
        stats = world.engine.stats
        stats.deliveries = COUNTS[number]
        stats.failed[FailureKind.TIMEOUT] = COUNTS[-number]
        stats.attempt_latency.counts[number] = COUNTS[number + 1]
        for seconds in SECONDS[number:]:
            stats.delivered(seconds)
    one = collector(*(world.engine for world in worlds), wall=1_795_500_060.25)
    registry = CollectorRegistry()
    registry.register(one)
    assert "".join(one.text()) == generate_latest(registry).decode()
    assert "".join(collector().text()).count("# TYPE ") == len(NAMES)


async def test_deliveries_go_on_while_a_scrape_is_made() -> None:
    now, turns = 0.0, 0

    def rows() -> Iterator[str]:
        nonlocal now
        for number in range(1000):
            now += SLICE_SECONDS / 10
            yield f"{number} é\n"

    async def deliver() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(deliver())
    text = await in_slices(rows(), lambda: now)
    other.cancel()
    assert text.decode() == "".join(f"{number} é\n" for number in range(1000))
    assert turns >= 90, "a turn for every ten rows"
