"""What ``docs/soak.md`` and its picture take from a run, so that no number is copied by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.document import replace_between
from bench.soak.results import KILL, RESTART, SoakResult
from bench.soak.verdicts import LONG_LIVED, Growth, cpu_share, descriptors, judge, memory, threads

_DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
FILE: Final = _DOCS / "soak.md"
PICTURE: Final = _DOCS / "soak.svg"
BEGIN: Final = "<!-- measured: python -m bench.soak --write-docs RESULT.json -->"


def write(result: SoakResult) -> list[Path]:
    """Put the numbers into the document, in place of those that are there, and draw; returns the files.

    Raises:
        ModuleNotFoundError: matplotlib, the extra ``plot``, is not installed.
    """
    from bench.soak import plot  # noqa: PLC0415 - nothing else needs the extra

    FILE.write_text(replace_between(FILE.read_text("utf-8"), BEGIN, render(result)), "utf-8")
    plot.write(result, PICTURE)
    return [FILE, PICTURE]


def render(result: SoakResult) -> str:
    """What was run, what was found, what is asked, as Markdown."""
    return "\n".join([*_run(result), "", *_verdicts(result), "", *_held(result), "", *_churn(result)]) + "\n"


def _run(result: SoakResult) -> Iterator[str]:
    machine, tally = result.machine, result.tally
    rate = f"{result.events_per_second:,.0f} events/s"
    if result.capacity_per_second is not None:
        rate += f", half of the {result.capacity_per_second:,.0f} sustained"
    yield (
        f"Run of {result.date[:10]}: **{result.load_seconds / 60:.1f} minutes** of load"
        f"{', ended early' if result.ended_early else ''}; {rate}, each due at the business server (JWT) "
        f"and at one of {result.clients} wallets (signed); {result.workers} workers; seed {result.seed}."
    )
    yield (
        f"On {machine.processor}, {machine.cores} cores, {machine.memory_gb} GB; Python {machine.python}, "
        f"{machine.loop}; {machine.kafka} and the receivers on the same machine"
        f"{', which others used as well' if result.is_shared else ''}."
    )
    yield ""
    yield (
        f"{tally.sent:,} deliveries were due and {tally.received:,} came, {tally.duplicates:,} of them "
        f"again; within {result.drain_seconds:.0f} s after the load the last was delivered and committed."
    )


def _verdicts(result: SoakResult) -> Iterator[str]:
    yield "| asked | found | at most | |"
    yield "| --- | ---: | ---: | --- |"
    for verdict in judge(result):
        met = "met" if verdict.is_met else "**missed**"
        yield f"| {verdict.what} | {_number(verdict.measured)} | {_number(verdict.target)} | {met} |"


def _number(value: float) -> str:
    """Four digits that count, and thousands in full."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _held(result: SoakResult) -> Iterator[str]:
    yield f"| worker {LONG_LIVED}, never restarted: medians | second quarter | last quarter |"
    yield "| --- | ---: | ---: |"
    for what, growth, digits in (
        ("resident memory, MB", memory(result), 1),
        ("file descriptors", descriptors(result), 0),
        ("threads", threads(result), 0),
        ("CPU, share of a core", cpu_share(result), 2),
    ):
        yield _growth_row(what, growth, digits)


def _growth_row(what: str, growth: Growth, digits: int) -> str:
    return f"| {what} | {growth.second:.{digits}f} | {growth.last:.{digits}f} |"


def _churn(result: SoakResult) -> Iterator[str]:
    counts = Counter(mark.what for mark in result.marks)
    restarts, kills = counts.pop(RESTART, 0), counts.pop(KILL, 0)
    yield "| what was done | times |"
    yield "| --- | ---: |"
    yield f"| a worker ended by SIGTERM and started anew | {restarts} |"
    yield f"| a worker ended by SIGKILL and started anew | {kills} |"
    for what, count in sorted(counts.items()):
        yield f"| a receiver {_FAULTS[what]}, for 20 to 40 s | {count} |"


_FAULTS: Final = {
    "fails": "answers 503 to everything",
    "hangs": "never answers",
    "refuses": "refuses connections",
    "slow": "takes 1 s for each answer",
    "rejects": "answers 422 to one event in 20, twice each",
}
