"""The command: starts the servers, measures the sections asked for, shows and keeps the results."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import document
from bench.lab import Lab, Options
from bench.machine import describe
from bench.receiver_process import LoadReceiver
from bench.results import Results, read_results
from bench.sections import backlog, destinations, end_to_end, post, route, sink, start, workers
from bench.table import show, show_verdicts
from bench.targets import judge
from tests.servers.kafka import ApacheKafka, missing_for_kafka

RESULTS_FOLDER = Path(__file__).resolve().parents[1] / "bench-results"
PLAIN_WIDTH = 110
WINDOW_SECONDS, QUICK_WINDOW_SECONDS = 10.0, 3.0
IDLE_SECONDS, QUICK_IDLE_SECONDS = 60.0, 5.0
BACKLOG_EVENTS, QUICK_BACKLOG_EVENTS = 1_000_000, 50_000

SECTIONS: dict[str, Callable[[Lab], Awaitable[tuple[Any, ...]]]] = {
    "route": route.measure,
    "post": post.measure,
    "sink": sink.measure,
    "end-to-end": end_to_end.measure,
    "workers": workers.measure,
    "destinations": destinations.measure,
    "start": start.measure,
    "backlog": backlog.measure,
}


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
@click.option(
    "--quick", is_flag=True, help="Short windows, fewer events and cases: the whole in about 4 minutes."
)
@click.option("--check", is_flag=True, help="Compare with the targets; exit 1 on a miss.")
@click.option(
    "--uvloop/--no-uvloop",
    "use_uvloop",
    default=find_spec("uvloop") is not None,
    show_default="if installed",
    help="The event loop of the worker and of the bare loop.",
)
@click.option("--profile", is_flag=True, help="Also write where the worker's CPU goes, by function.")
@click.option("--window", "window_seconds", type=float, help="Seconds of one measurement.")
@click.option("--idle-seconds", type=float, help="Seconds of nothing before the idle event.")
@click.option("--backlog", "backlog_events", type=int, help="Events that wait in the backlog section.")
@click.option(
    "--write-docs",
    "result_file",
    metavar="RESULT.json",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: write this file's numbers to docs/performance.md and to the costs of `plan`.",
)
def main(
    *,
    sections: tuple[str, ...],
    quick: bool,
    check: bool,
    use_uvloop: bool,
    profile: bool,
    window_seconds: float | None,
    idle_seconds: float | None,
    backlog_events: int | None,
    result_file: Path | None,
) -> None:
    """Measure this service on this machine. Without SECTIONS: all of them."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if result_file is not None:
        written = document.write(read_results(result_file.read_text()))
        console.print(f"written to {', '.join(map(str, written))}", highlight=False)
        return
    if missing := missing_for_kafka():
        raise click.ClickException(f"the benchmark needs {' and '.join(missing)} on the PATH: install them")
    if use_uvloop and find_spec("uvloop") is None:
        raise click.ClickException("uvloop is not installed here: say --no-uvloop")
    options = Options(
        quick=quick,
        uvloop=use_uvloop,
        profile=profile,
        window_seconds=window_seconds or (QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS),
        idle_seconds=idle_seconds or (QUICK_IDLE_SECONDS if quick else IDLE_SECONDS),
        backlog_events=backlog_events or (QUICK_BACKLOG_EVENTS if quick else BACKLOG_EVENTS),
        results_folder=RESULTS_FOLDER,
    )
    # aiokafka reports each retry at a topic whose leader is new; what fails for good is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    measured = asyncio.run(_measure_until_stopped(sections or tuple(SECTIONS), options, console))
    if measured is None:
        sys.exit(130)
    results, failed = measured
    show(console, results)
    console.print(f"written to {_write(results)}", highlight=False)
    verdicts = judge(results)
    show_verdicts(console, verdicts)
    if failed or (check and not all(verdict.is_met for verdict in verdicts)):
        sys.exit(1)


async def _measure_until_stopped(
    sections: tuple[str, ...], options: Options, console: Console
) -> tuple[Results, list[str]] | None:
    """What ``_measure`` returns; None after Ctrl-C or SIGTERM, with everything stopped."""
    running = asyncio.ensure_future(_measure(sections, options, console))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        console.print("stopped")
        return None


async def _measure(
    sections: tuple[str, ...], options: Options, console: Console
) -> tuple[Results, list[str]]:
    """The results, and the sections that could not be measured."""
    began = time.strftime("%Y-%m-%dT%H-%M-%S")
    receiver = LoadReceiver()
    found: dict[str, tuple[Any, ...]] = {}
    failed: list[str] = []
    async with ApacheKafka() as broker, receiver:
        lab = Lab(broker, receiver, options, console)
        for name in dict.fromkeys(sections):
            await receiver.set()
            try:
                found[name.replace("-", "_")] = await SECTIONS[name](lab)
            except (TimeoutError, asyncio.TimeoutError, RuntimeError) as error:
                # The others took minutes and are worth keeping.
                console.print(
                    f"{name} could not be measured: {error}", style="red", highlight=False, markup=False
                )
                failed.append(name)
    return Results(began, options.quick, describe(uvloop=options.uvloop), **found), failed


def _write(results: Results) -> Path:
    RESULTS_FOLDER.mkdir(exist_ok=True)
    file = RESULTS_FOLDER / f"{results.date}.json"
    file.write_text(json.dumps(asdict(results), indent=1) + "\n")
    return file


if __name__ == "__main__":
    main()
