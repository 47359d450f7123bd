"""What documents and program take from a result, so that no number is copied by hand.

That is the measured part of ``docs/performance.md``, the costs that ``eventproc plan`` reckons with, and what
that command prints in the documents that show it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner
from rich.table import Table

from bench.results import Results
from bench.table import tables
from bench.targets import judge
from eventproc.cli.plan import plan_command
from eventproc.measured_costs import FILE_NAME, Costs, costs_of_result, read_costs, write_costs

_CHECKOUT = Path(__file__).resolve().parents[1]
FILE = _CHECKOUT / "docs" / "performance.md"
SCALE_FILE = _CHECKOUT / "docs" / "scale.md"
COSTS_FILE = _CHECKOUT / "eventproc" / FILE_NAME
BEGIN = "<!-- measured: python -m bench --write-docs RESULT.json -->"
END = "<!-- end of measured -->"


def write(results: Results) -> list[Path]:
    """Put the numbers into documents and costs, in place of those that are there; returns the files."""
    before = read_costs(COSTS_FILE.read_text("utf-8"))
    costs = costs_of_result(json.dumps(asdict(results)), before)
    COSTS_FILE.write_text(write_costs(costs), "utf-8")
    measured = replace_measured(FILE.read_text("utf-8"), results)
    FILE.write_text(replace_plans(measured, costs), "utf-8")
    SCALE_FILE.write_text(replace_plans(SCALE_FILE.read_text("utf-8"), costs), "utf-8")
    return [FILE, SCALE_FILE, COSTS_FILE]


def replace_plans(text: str, costs: Costs) -> str:
    """The document with what ``eventproc plan`` prints below each call of it that a block ``text`` shows."""

    def shown(found: re.Match[str]) -> str:
        done = CliRunner().invoke(plan_command(lambda: costs), shlex.split(found["arguments"]))
        if done.exit_code:
            raise ValueError(f"eventproc plan {found['arguments']}: {done.output}")
        return f"{found['call']}{done.output}```\n"

    return _PLAN.sub(shown, text)


_PLAN = re.compile(
    r"(?P<call>^```text\n\$ eventproc plan (?P<arguments>[^\n]+)\n).*?^```\n", re.MULTILINE | re.DOTALL
)


def replace_measured(text: str, results: Results) -> str:
    """The document with other numbers; raises as ``replace_between`` does."""
    return replace_between(text, BEGIN, render(results))


def replace_between(text: str, begin_mark: str, content: str) -> str:
    """The document with other content between ``begin_mark`` and ``END``.

    Raises:
        ValueError: it has not both marks.
    """
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the marks {begin_mark!r} and {END!r}")
    return f"{before}{begin_mark}\n\n{content}\n{END}{after}"


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
