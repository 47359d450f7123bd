"""The results for people: a table for each section, then the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from bench.results import Results
from bench.targets import Verdict


def show(console: Console, results: Results) -> None:
    """Print every section that was measured."""
    machine = results.machine
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gb} GB; Python {machine.python}, "
        f"{machine.loop}; {machine.kafka}; "
        f"{'quick run' if results.quick else 'full run'}, {results.date}",
        highlight=False,
    )
    for table in tables(results):
        if table.row_count:
            console.print(table)


def show_verdicts(console: Console, verdicts: Iterable[Verdict]) -> None:
    """Print each target with what was measured."""
    rows = [
        (
            verdict.what,
            f"{verdict.measured:,.2f}",
            f"{'≥' if verdict.at_least else '≤'} {verdict.target:g}",
            "met" if verdict.is_met else "MISSED",
        )
        for verdict in verdicts
    ]
    console.print(_table("targets", ("target", "measured", "wanted", ""), rows, left=1))


def tables(results: Results) -> list[Table]:
    """One for each section; without rows where nothing was measured."""
    return [_route(results), _post(results), _sink(results), _end_to_end(results), *_scaling(results)]


def _route(results: Results) -> Table:
    heading = ("internal topics", "events/s", "CPU µs per event", "over aiohttp's POST")
    rows = [
        (
            f"{r.topics}",
            f"{r.events_per_second:,.0f}",
            f"{r.cpu_us_per_event:.0f}",
            f"{r.cpu_us_per_event / r.bare_cpu_us_per_post:.2f}",
        )
        for r in results.route
    ]
    return _table("route: the router alone", heading, rows)


def _post(results: Results) -> Table:
    heading = ("event loop", "POSTs/s", "µs each", "aiohttp's/s", "µs each", "ratio")
    rows = [
        (
            r.loop,
            f"{r.posts_per_second:,.0f}",
            f"{r.cpu_us_per_post:.1f}",
            f"{r.bare_posts_per_second:,.0f}",
            f"{r.bare_cpu_us_per_post:.0f}",
            f"{r.cpu_ratio:.2f}",
        )
        for r in results.post
    ]
    return _table("post: one POST and its answer, without Kafka", heading, rows, left=1)


def _sink(results: Results) -> Table:
    heading = (
        *("auth", "receiver ms", "deliveries/s", "µs each"),
        *("aiohttp alone/s", "µs each", "ratio", "one by one/s"),
    )
    rows = [
        (
            r.auth,
            f"{r.latency_ms}",
            f"{r.deliveries_per_second:,.0f}",
            f"{r.cpu_us_per_delivery:.0f}",
            f"{r.bare_posts_per_second:,.0f}",
            f"{r.bare_cpu_us_per_post:.0f}",
            f"{r.cpu_ratio:.2f}",
            f"{r.one_at_a_time_per_second:,.0f}",
        )
        for r in results.sink
    ]
    return _table("sink: one destination, one worker", heading, rows, left=1)


def _end_to_end(results: Results) -> Table:
    rows = [
        (
            f"{r.events_per_second:,}"
            if r.events_per_second
            else f"one after {r.idle_seconds:g} s of nothing",
            f"{r.events:,}",
            f"{r.p50_ms:.1f}",
            f"{r.p99_ms:.1f}",
        )
        for r in results.end_to_end
    ]
    return _table("end to end: publish to receiver", ("events/s", "events", "p50 ms", "p99 ms"), rows)


def _scaling(results: Results) -> list[Table]:
    workers = [
        (f"{r.workers}", f"{r.deliveries_per_second:,.0f}", f"{r.cpu_us_per_delivery:.0f}")
        for r in results.workers
    ]
    destinations = [
        (f"{r.destinations:,}", f"{r.deliveries_per_second:,.0f}", f"{r.cpu_us_per_delivery:.0f}")
        for r in results.destinations
    ]
    start = [
        (
            f"{r.destinations:,}",
            f"{r.first_seconds:.1f}",
            f"{r.again_seconds:.1f}",
            f"{r.idle_mb:.0f}",
            f"{r.idle_cores:.2f}",
        )
        for r in results.start
    ]
    begun = ("destinations", "first time s", "again s", "idle MB", "idle cores")
    backlog = [
        (f"{r.events:,}", f"{r.idle_mb:.0f}", f"{r.waiting_mb:.0f}", f"{r.waiting_mb - r.idle_mb:+.0f}")
        for r in results.backlog
    ]
    rates = ("deliveries/s", "µs each")
    return [
        _table("workers: from TRANSACTION to the receiver", ("processes", *rates), workers),
        _table("destinations: the same load over more of them", ("destinations", *rates), destinations),
        _table("start: until one worker is ready", begun, start),
        _table("backlog: memory of one worker", ("events waiting", "idle MB", "MB", "more"), backlog),
    ]


def _table(title: str, heading: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(heading):
        table.add_column(name, justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*row)
    return table
