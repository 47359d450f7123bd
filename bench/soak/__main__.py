"""The command: one run, its verdicts, and what is kept of it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console

from bench.__main__ import PLAIN_WIDTH, RESULTS_FOLDER
from bench.soak import document
from bench.soak.results import RESULT, SoakResult
from bench.soak.run import Options, Soak
from bench.soak.verdicts import judge
from bench.table import show_verdicts
from tests.servers.anchor_env import Names
from tests.servers.kafka import ApacheKafka, missing_for_kafka

LOG_LIMITS = {
    # Hours of records are not wanted; what waits is a thousandth of this.
    "log.retention.bytes": str(128 << 20),
    "log.segment.bytes": str(32 << 20),
    "log.retention.check.interval.ms": "30000",
}


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.5), default=120.0, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    help="Events a second. Without: half of what is sustained, which is measured first.",
)
@click.option("--workers", type=click.IntRange(min=2), default=2, show_default=True)
@click.option("--clients", type=click.IntRange(min=1), default=20, show_default=True, help="Wallets.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of restarts, kills and faults.")
@click.option(
    "--nice", type=click.IntRange(0, 19), default=0, help="Anchor and receivers give way by so much."
)
@click.option("--shared", is_flag=True, help="Others work on the machine; the document will say so.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The result; by default in bench-results. Logs and samples go to a folder of that name.",
)
@click.option(
    "--write-docs",
    "result_file",
    metavar="RESULT.json",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run nothing: write this result to docs/soak.md and docs/soak.svg.",
)
def main(
    *,
    minutes: float,
    rate: float | None,
    workers: int,
    clients: int,
    seed: int,
    nice: int,
    shared: bool,
    output: Path | None,
    result_file: Path | None,
) -> None:
    """Load with restarts, kills and faults for hours: is all delivered, and does nothing grow?

    Ctrl-C or SIGTERM ends the load; what was published is still waited for, judged and written.
    """
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    if result_file is not None:
        written = document.write(RESULT.validate_json(result_file.read_bytes()))
        console.print(f"written to {', '.join(map(str, written))}", highlight=False)
        return
    if missing := missing_for_kafka():
        raise click.ClickException(f"this needs {' and '.join(missing)} on the PATH: install them")
    options = Options(
        load_seconds=60 * minutes,
        events_per_second=rate,
        workers=workers,
        clients=clients,
        seed=seed,
        nice=nice,
        uvloop=find_spec("uvloop") is not None,
        is_shared=shared,
    )
    output = output or RESULTS_FOLDER / f"soak-{time.strftime('%Y-%m-%dT%H-%M-%S')}.json"
    # aiokafka reports each retry at a topic whose leader is new; what fails for good is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    result = asyncio.run(_run(options, output.with_suffix(""), console))
    output.write_bytes(RESULT.dump_json(result, indent=1) + b"\n")
    verdicts = judge(result)
    show_verdicts(console, verdicts)
    for problem in result.problems:
        console.print(problem, style="red", highlight=False, markup=False)
    console.print(f"written to {output}", highlight=False)
    if not all(verdict.is_met for verdict in verdicts):
        sys.exit(1)


async def _run(options: Options, folder: Path, console: Console) -> SoakResult:
    def tell(what: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {what}", style="dim", highlight=False, markup=False)

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ApacheKafka(LOG_LIMITS) as broker:
        return await Soak(broker, Names(), options, folder, tell).run(stop)


if __name__ == "__main__":
    main()
