"""The measured part of ``docs/performance.md``, written from a result, so that none is copied by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from bench.results import Results
from bench.table import tables
from bench.targets import judge

FILE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN = "<!-- measured: python -m bench --write-docs RESULT.json -->"
END = "<!-- end of measured -->"


def write(results: Results) -> None:
    """Put the numbers into the document, in place of those that are there."""
    FILE.write_text(replace_measured(FILE.read_text("utf-8"), results), "utf-8")


def replace_measured(text: str, results: Results) -> str:
    """The document with other numbers.

    Raises:
        ValueError: it has not both marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{render(results)}\n{END}{after}"


def render(results: Results) -> str:
    """Machine, a table for each section, the targets, as Markdown."""
    machine = results.machine
    day, _, clock = results.date.partition("T")
    kind = "Quick" if results.quick else "Full"
    lines = [
        f"{kind} run of {day}, {clock.replace('-', ':')}, on {machine.processor}, {machine.cores} cores,",
        f"{machine.memory_gb} GB; Python {machine.python}, {machine.loop}; {machine.kafka} on the same one.",
        "",
    ]
    for table in tables(results):
        lines += [f"**{str(table.title).capitalize()}**", ""]
        lines += _markdown(table) if table.row_count else ["Not measured in this run."]
        lines.append("")
    lines += ["**Targets**, as `--check` judges them", ""]
    lines += _row(("target", "measured", "wanted", ""))
    lines += _row(("---", "---:", "---:", "---"))
    for verdict in judge(results):
        wanted = f"{'≥' if verdict.at_least else '≤'} {verdict.target:g}"
        lines += _row(
            (verdict.what, f"{verdict.measured:,.2f}", wanted, "met" if verdict.is_met else "missed")
        )
    return "\n".join(lines) + "\n"


def _markdown(table: Table) -> Iterator[str]:
    yield from _row([str(column.header) for column in table.columns])
    yield from _row(["---:" if column.justify == "right" else "---" for column in table.columns])
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        yield from _row([str(cell) for cell in cells])


def _row(cells: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]
