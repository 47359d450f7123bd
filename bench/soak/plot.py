"""One picture of a run: memory, descriptors, deliveries and what waits, over the marks of the churn.

matplotlib is the extra ``plot``; ``make soak`` installs it. The same result makes the same file, byte by
byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.soak.results import KILL, RESTART, ProcessSample, SoakResult
from bench.soak.verdicts import LONG_LIVED

_STYLE: Final = {
    "svg.hashsalt": "eventproc",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "lines.linewidth": 1.3,
}
_WORKERS: Final = ("#0b5fa5", "#e08214", "#7b6aa8", "#4d9a62", "#9a6a4d")
_FAULT: Final = "#c9c9c9"
_KILL: Final = "#c8102e"


def write(result: SoakResult, file: Path) -> None:
    """Draw the run into an SVG file."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(10, 9), facecolor="white", layout="constrained")
        panels = figure.subplots(5, 1, sharex=True, height_ratios=[3, 2, 2, 2, 1.2])
        _held(panels[0], result, lambda held: held.rss_mb)
        _held(panels[1], result, lambda held: held.descriptors)
        _rates(panels[2], result)
        _waiting(panels[3], result)
        _faults(panels[4], result)
        for panel, label in zip(
            panels, ("resident memory, MB", "descriptors", "per second", "waiting", "faults"), strict=True
        ):
            panel.set_ylabel(label)
            panel.set_ylim(bottom=0)
            _restarts(panel, result)
        panels[0].legend(loc="lower right", ncols=3, frameon=False)
        panels[2].legend(loc="upper right", ncols=2, frameon=False)
        panels[4].set_xlabel(
            "minutes of load; dotted: a restart by SIGTERM, red: SIGKILL, grey: a receiver's fault"
        )
        figure.savefig(file, format="svg", metadata={"Date": None})


def minutes(result: SoakResult) -> list[float]:
    """The moments of the samples."""
    return [sample.at / 60 for sample in result.samples]


def series(result: SoakResult, worker: int, pick: Callable[[ProcessSample], float]) -> list[float]:
    """What one worker held at each sample; NaN while it was down and at a restart: the line breaks there."""
    found: list[float] = []
    pid = None
    for sample in result.samples:
        held = sample.workers[worker]
        is_new = held is not None and pid is not None and held.pid != pid
        found.append(math.nan if held is None or is_new else pick(held))
        pid = held.pid if held is not None else pid
    return found


def per_second(result: SoakResult, counts: Sequence[int]) -> Iterator[float]:
    """How fast a count grew up to each sample but the first."""
    for (before, after), (low, high) in zip(pairwise(result.samples), pairwise(counts), strict=True):
        yield (high - low) / (after.at - before.at)


def _held(panel: Any, result: SoakResult, pick: Callable[[ProcessSample], float]) -> None:
    for worker in reversed(range(result.workers)):
        is_judged = worker == LONG_LIVED
        label = f"worker {worker}, {'never' if is_judged else ''} restarted".replace(",  ", ", ")
        panel.plot(
            minutes(result),
            series(result, worker, pick),
            color=_WORKERS[worker % len(_WORKERS)],
            linewidth=2.0 if is_judged else 1.0,
            label=label,
        )


def _rates(panel: Any, result: SoakResult) -> None:
    at = minutes(result)[1:]
    published = list(per_second(result, [2 * sample.published for sample in result.samples]))
    delivered = list(per_second(result, [sample.delivered for sample in result.samples]))
    panel.plot(at, published, color="#999999", linewidth=1.0, label="due")
    panel.plot(at, delivered, color="#1b7837", label="delivered")


def _waiting(panel: Any, result: SoakResult) -> None:
    panel.plot(minutes(result), [sample.waiting for sample in result.samples], color="#762a83")


def _faults(panel: Any, result: SoakResult) -> None:
    """A row for each kind."""
    faults = [mark for mark in result.marks if mark.what not in {RESTART, KILL}]
    kinds = sorted({mark.what for mark in faults})
    for mark in faults:
        row = kinds.index(mark.what) + 0.5
        panel.plot(
            [mark.at / 60, mark.until / 60], [row, row], color="#666666", linewidth=4, solid_capstyle="butt"
        )
    panel.set_yticks([row + 0.5 for row in range(len(kinds))], kinds, fontsize=7)
    panel.set_ylim(0, max(1, len(kinds)))
    panel.grid(visible=False)


def _restarts(panel: Any, result: SoakResult) -> None:
    for mark in result.marks:
        if mark.what == KILL:
            panel.axvline(mark.at / 60, color=_KILL, linewidth=1.0)
        elif mark.what == RESTART:
            panel.axvline(mark.at / 60, color="#555555", linewidth=1.0, linestyle=":")
        else:
            panel.axvspan(mark.at / 60, mark.until / 60, color=_FAULT, alpha=0.35, linewidth=0)
