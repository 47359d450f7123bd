"""The benchmark's judgement and its table, on made-up results; nothing is timed here."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import document, profiles
from bench.__main__ import SECTIONS, main
from bench.load import Load, client_name, clients
from bench.percentiles import percentile
from bench.results import (
    JWT,
    SIGNATURE,
    BacklogResult,
    DestinationsResult,
    EndToEndResult,
    Machine,
    PostResult,
    Results,
    RouteResult,
    SinkResult,
    StartResult,
    WorkersResult,
    read_results,
)
from bench.table import show, show_verdicts
from bench.targets import judge
from bench.window import Window, cpu_seconds, watch_until
from eventproc.cli.plan import packaged_costs
from eventproc.events import Unreadable, decode
from eventproc.measured_costs import costs_of_result, read_costs
from eventproc.records import read_origin

MACHINE = Machine("a processor", 2, 8, "3.12.0", "uvloop", "Apache Kafka 4.1.0")


def sink(auth: str, latency_ms: int, per_second: float, cpu_us: float) -> SinkResult:
    return SinkResult(auth, latency_ms, 64, per_second, cpu_us, 10_000.0, 100.0, 500.0)


GOOD = Results(
    date="2026-01-01T00-00-00",
    quick=True,
    machine=MACHINE,
    route=(RouteResult(1, 9000.0, 100.0, 100.0), RouteResult(2, 7000.0, 140.0, 100.0)),
    post=(PostResult("uvloop", 9e3, 24.0, 2e3, 100.0), PostResult("asyncio", 9e3, 44.0, 2e3, 100.0)),
    sink=(
        sink(JWT, 0, 5000.0, 190.0),
        sink(JWT, 50, 1200.0, 210.0),
        sink(SIGNATURE, 0, 4000.0, 230.0),
        sink(SIGNATURE, 50, 1200.0, 250.0),
    ),
    end_to_end=(EndToEndResult(100, 500, 0.0, 9.0, 40.0), EndToEndResult(0, 1, 60.0, 12.0, 12.0)),
    workers=(WorkersResult(1, 4000.0, 240.0), WorkersResult(2, 7000.0, 250.0)),
    destinations=(DestinationsResult(10, 3000.0, 200.0), DestinationsResult(1000, 2500.0, 250.0)),
    start=(StartResult(2500, 25.0, 12.0, 300.0, 0.05),),
    backlog=(BacklogResult(1_000_000, 90.0, 120.0),),
)


def test_good_results_meet_every_target() -> None:
    verdicts = judge(GOOD)
    assert len(verdicts) == 13
    assert [verdict.what for verdict in verdicts if not verdict.is_met] == []


@pytest.mark.parametrize(
    ("worse", "missed"),
    [
        (replace(GOOD, route=(RouteResult(2, 7000.0, 151.0, 100.0),)), "route: CPU per event"),
        (replace(GOOD, post=(PostResult("uvloop", 9e3, 26.0, 2e3, 100.0),)), "post: CPU of a POST"),
        (replace(GOOD, post=(PostResult("asyncio", 9e3, 46.0, 2e3, 100.0),)), "post: CPU of a POST"),
        (replace(GOOD, sink=(sink(JWT, 0, 5000.0, 201.0),)), "sink: CPU per delivery"),
        (replace(GOOD, sink=(sink(SIGNATURE, 0, 5000.0, 241.0),)), "sink: CPU per delivery"),
        (
            replace(GOOD, sink=(sink(JWT, 0, 5000.0, 190.0), sink(JWT, 50, 1100.0, 190.0))),
            "sink: share of what 64 in flight allow",
        ),
        (replace(GOOD, end_to_end=(EndToEndResult(100, 500, 0.0, 16.0, 40.0),)), "end to end: p50"),
        (replace(GOOD, end_to_end=(EndToEndResult(100, 500, 0.0, 9.0, 61.0),)), "end to end: p99"),
        (
            replace(
                GOOD, destinations=(DestinationsResult(10, 1.0, 200.0), DestinationsResult(1000, 1.0, 261.0))
            ),
            "destinations: CPU per delivery",
        ),
        (replace(GOOD, start=(StartResult(2500, 30.1, 12.0, 300.0, 0.05),)), "start: s until ready"),
        (replace(GOOD, start=(StartResult(2500, 25.0, 12.0, 401.0, 0.05),)), "start: idle MB"),
        (replace(GOOD, backlog=(BacklogResult(1_000_000, 90.0, 141.0),)), "backlog: MB"),
    ],
)
def test_each_target_is_missed_alone(worse: Results, missed: str) -> None:
    (verdict,) = [verdict for verdict in judge(worse) if not verdict.is_met]
    assert verdict.what.startswith(missed)


def test_a_slow_receiver_is_no_fault_of_a_worker_at_its_cpu_limit() -> None:
    results = replace(GOOD, sink=(sink(JWT, 0, 1000.0, 190.0), sink(JWT, 50, 950.0, 190.0)))
    assert all(verdict.is_met for verdict in judge(results))


def test_what_could_not_be_measured_is_a_miss() -> None:
    nothing_done = Window(seconds=3.0, done=0, cpu_seconds=1.0)
    results = replace(GOOD, route=(RouteResult(2, 0.0, nothing_done.cpu_us_each, 100.0),))
    assert next(verdict.is_met for verdict in judge(results)) is False


def test_sections_that_were_not_measured_are_not_judged() -> None:
    assert judge(Results("2026-01-01T00-00-00", quick=True, machine=MACHINE)) == []


def test_the_table_shows_every_section_with_its_numbers() -> None:
    text = shown(GOOD)
    for part in (
        "route",
        "post",
        "sink",
        "end to end",
        "workers",
        "destinations",
        "start",
        "backlog",
        "targets",
    ):
        assert part in text
    for number in ("9,000", "1.90", "one after 60 s of nothing", "1,000,000", "+30"):
        assert number in text
    assert "a processor, 2 cores, 8 GB" in text


def test_the_table_leaves_out_what_was_not_measured() -> None:
    text = shown(replace(GOOD, backlog=(), workers=()))
    assert "backlog:" not in text
    assert "workers:" not in text


def test_a_missed_target_stands_out() -> None:
    assert "MISSED" in shown(replace(GOOD, backlog=(BacklogResult(1, 90.0, 200.0),)))
    assert "MISSED" not in shown(GOOD)


def shown(results: Results) -> str:
    out = io.StringIO()
    console = Console(file=out, width=120)
    show(console, results)
    show_verdicts(console, judge(results))
    return out.getvalue()


def test_a_window_divides_by_what_was_done() -> None:
    window = Window(seconds=2.0, done=1000, cpu_seconds=0.5)
    assert window.per_second == 500
    assert window.cpu_us_each == 500


async def test_a_window_until_so_much_is_done_ends_then() -> None:
    counts = iter([100, 150, 205, 205])

    async def count() -> int:
        return next(counts)

    window = await watch_until(count, [os.getpid()], 200, timeout_seconds=5.0)
    assert window.done == 105
    assert window.seconds > 0


async def test_a_window_until_so_much_is_done_is_bounded() -> None:
    async def count() -> int:
        return 7

    with pytest.raises(TimeoutError, match="7 of 8 done"):
        await watch_until(count, [os.getpid()], 8, timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([5.0], 50, 5.0),
        ([5.0], 99, 5.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([float(n) for n in range(1, 201)], 99, 198.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_results_are_read_back_as_they_were_written() -> None:
    assert read_results(json.dumps(asdict(GOOD))) == GOOD


def test_the_document_gets_the_numbers_and_keeps_the_rest() -> None:
    text = f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n"
    written = document.replace_measured(text, replace(GOOD, workers=()))
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| 9,000 | 100 | 1.00 |" in written
    assert "Not measured in this run." in written
    assert "| backlog: MB that 1,000,000 waiting events add | 30.00 | ≤ 50 | met |" in written
    assert document.replace_measured(written, replace(GOOD, workers=())) == written


def test_a_document_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="needs the marks"):
        document.replace_measured("no marks", GOOD)


def test_the_document_can_be_written_anew_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FILE", "SCALE_FILE", "COSTS_FILE"):
        original: Path = getattr(document, name)
        copy = tmp_path / original.name
        copy.write_text(original.read_text("utf-8"), "utf-8")
        monkeypatch.setattr(document, name, copy)
    result = tmp_path / "result.json"
    result.write_text(json.dumps(asdict(GOOD)))
    done = CliRunner().invoke(main, ["--write-docs", str(result)])
    assert done.exit_code == 0, done.output
    written = document.FILE.read_text("utf-8")
    assert "a processor, 2 cores" in written
    costs = read_costs(document.COSTS_FILE.read_text("utf-8")).benchmark
    assert (costs.route_us_per_event, costs.route_us_per_copy) == (60.0, 40.0)
    assert (costs.delivery_us_jwt, costs.delivery_us_signature) == (210.0, 250.0)
    assert (costs.quiet_p50_ms, costs.idle_mb) == (9.0, 90.0)
    # What `eventproc plan` prints there is of the new costs.
    assert "3,000 x 210 µs, with JWT" in written


def test_what_the_documents_show_of_plan_is_what_it_prints() -> None:
    for file in (document.FILE, document.SCALE_FILE):
        text = file.read_text("utf-8")
        assert "\n$ eventproc plan " in text
        assert document.replace_plans(text, packaged_costs()) == text, f"{file.name}: write it anew"


def test_a_call_of_plan_that_fails_is_not_written() -> None:
    text = "```text\n$ eventproc plan --events-per-second 0\n```\n"
    with pytest.raises(ValueError, match="events-per-second"):
        document.replace_plans(text, packaged_costs())


def test_the_program_s_costs_are_those_of_the_document() -> None:
    """Both come from one result; the document's are rounded, so they are compared as far as they go."""
    text = document.FILE.read_text("utf-8").partition(document.BEGIN)[2].partition(document.END)[0]
    route = _rows(text, "Route")
    sink = _rows(text, "Sink")
    quiet = [row for row in _rows(text, "End to end") if row[0].isdigit()]
    shown = {
        "date": "",
        "quick": True,
        "machine": {"processor": "", "python": ""},
        "route": [{"topics": int(row[0]), "cpu_us_per_event": float(row[2])} for row in route],
        "sink": [{"auth": row[0], "cpu_us_per_delivery": float(row[3])} for row in sink],
        "end_to_end": [{"events_per_second": int(row[0]), "p50_ms": float(row[2])} for row in quiet],
        "backlog": [{"idle_mb": float(row[1])} for row in _rows(text, "Backlog")],
    }
    kept = packaged_costs()
    expected = costs_of_result(json.dumps(shown), kept).benchmark
    for name in ("delivery_us_jwt", "delivery_us_signature", "quiet_p50_ms", "idle_mb"):
        assert getattr(kept.benchmark, name) == pytest.approx(getattr(expected, name), abs=0.51), name
    for name in ("route_us_per_event", "route_us_per_copy"):
        assert getattr(kept.benchmark, name) == pytest.approx(getattr(expected, name), abs=1.6), name


def _rows(text: str, section: str) -> list[list[str]]:
    """The cells of a section's table, without its heading; none where nothing was measured."""
    part = re.split(r"^\*\*", text, flags=re.MULTILINE)
    (table,) = [found for found in part if found.startswith(section)]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace(",", "") for cell in line.strip("|").split("|")] for line in lines]


def test_the_document_names_options_and_sections_that_exist() -> None:
    text = document.FILE.read_text("utf-8")
    known = {option for parameter in main.params for option in parameter.opts}
    named = [shlex.split(found) for found in re.findall(r"make bench ARGS=(\"[^\"]*\"|\S+)", text)]
    words = [word for (arguments,) in named for word in arguments.split()]
    assert {word for word in words if word.startswith("--")} <= known
    assert {word for word in words if word[0].isalpha()} <= set(SECTIONS)
    assert re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE) == list(SECTIONS)


def test_the_cpu_of_a_process_is_that_of_all_its_threads() -> None:
    assert cpu_seconds(os.getpid()) >= 0


def test_every_event_of_a_load_can_be_read_and_has_its_own_id() -> None:
    load = Load(events=40, clients=3)
    events = [decode(record.value) for record in load.source_records()]
    readable = [event for event in events if not isinstance(event, Unreadable)]
    assert len({event.id for event in readable}) == 40
    assert len({event.lane_key for event in readable}) == 10
    names = {(event.transaction or {})["client_name"] for event in readable}
    assert names == {client_name(number) for number in range(3)}


def test_a_transaction_of_a_load_stays_in_one_partition_in_order_of_its_source() -> None:
    partition_of: dict[bytes, int] = {}
    newest: dict[tuple[int, int], int] = {}
    for record in Load(events=400).internal_records(partitions=4):
        assert partition_of.setdefault(record.key, record.partition) == record.partition
        source = read_origin(record.headers).source
        assert source is not None
        assert source.offset > newest.get((record.partition, source.partition), -1)
        newest[record.partition, source.partition] = source.offset


def test_a_load_can_be_one_clients_own() -> None:
    assert len(list(Load(events=40, clients=4).internal_records(partitions=2, client=1))) == 12
    assert [client["name"] for client in clients(2, "http://wallet")] == ["client-0000", "client-0001"]


def test_a_profile_sums_up_by_package_function_and_caller() -> None:
    stacks = [
        (("thread Main", "eventproc/a.py:f", "aiohttp/b.py:g"), 300),
        (("thread Main", "eventproc/a.py:f"), 100),
        (("thread Main", "eventproc/a.py:f", "aiohttp/b.py:g"), 200),
    ]
    text = profiles.render(stacks, events=100)
    assert text.startswith("6.0 us of CPU for each of 100 events")
    assert "     5.00  aiohttp\n" in text
    assert "     6.00  eventproc/a.py:f\n" in text
    assert "     5.00      aiohttp/b.py:g\n" in text
