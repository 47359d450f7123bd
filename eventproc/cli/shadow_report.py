"""The report of ``eventproc shadow diff`` for people. What comes from others goes through ``printable``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from eventproc.cli.dead_letter_text import fact
from eventproc.shadow.diff import Found, Report, Span
from eventproc.times import iso

EXAMPLE_CHARACTERS: Final = 60

_COLUMNS: Final = ("COUNT", "WHAT", "DESTINATION", "MEMBER", "CAPTURED", "SHADOW", "FOR EXAMPLE")


def print_report(report: Report, console: Console, limit: int) -> None:
    """The same difference at many events is one row, with the first of them as example."""
    click.echo(f"captured: {_span(report.there)}")
    click.echo(f"shadow:   {_span(report.here)}")
    repeated = f", {report.repeated} repeated" if report.repeated else ""
    click.echo(f"paired:   {report.paired}{repeated}")
    for reason, count in report.expected.items():
        click.echo(f"expected: {count} times: {reason}")
    if not report.there.count or not report.here.count:
        click.echo("nothing to compare: one side is empty")
    elif not report.found:
        click.echo("nothing else differs")
    else:
        _print_differences(report.found, console, limit)


def _print_differences(found: Sequence[Found], console: Console, limit: int) -> None:
    rows: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], Found] = {}
    for one in found:
        key = (one.difference.kind.value, one.destination, one.difference.path)
        rows[key] += 1
        examples.setdefault(key, one)
    table = Table(box=None, pad_edge=False)
    for title in _COLUMNS:
        table.add_column(title, overflow="fold", justify="right" if title == "COUNT" else "left")
    for key, count in rows.most_common(limit):
        one = examples[key]
        sides = (_cut(one.difference.there), _cut(one.difference.here))
        table.add_row(
            str(count), *map(fact, key), *map(fact, sides), fact(f"{one.subject.lane} {one.subject.event}")
        )
    console.print(table)
    left = len(rows) - limit
    more = f", {left} of them not shown: see --limit and --json" if left > 0 else ""
    click.echo(f"{sum(rows.values())} differences of {len(rows)} sorts{more}")


def _span(span: Span) -> str:
    requests = f"{span.count} request{'s'[: span.count != 1]}"
    if span.first is None or span.last is None:
        return requests
    return f"{requests}, {iso(span.first)} to {iso(span.last)}"


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= EXAMPLE_CHARACTERS:
        return text
    return f"{text[:EXAMPLE_CHARACTERS]}…"
