"""``eventproc doctor``: looks at everything that a delivery needs, and says what is wrong and the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress

from eventproc.cli.context import CliContext, ExitCode
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import print_json, quieten
from eventproc.doctor.findings import Check, State, count

_WIDTH: Final = 8
_STYLES: Final = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.PROBLEM: "bold red",
    State.SKIPPED: "dim",
}

EPILOG: Final = """\b
Exit codes:
  0  no problem; there may be warnings
  1  a problem
  2  wrong configuration or usage
  3  no broker answers"""


@click.command(epilog=EPILOG)
@click.option("--offline", is_flag=True, help="Look at the configuration and its files alone.")
@click.option(
    "--send-test-event",
    "sends_examples",
    is_flag=True,
    help="Also POST a signed example event to each endpoint.",
)
@click.option(
    "--home-domain",
    "domains",
    multiple=True,
    metavar="DOMAIN",
    help="The anchor's, perhaps with a port: its stellar.toml is compared. Default: sep10.home_domains.",
)
@click.option(
    "--ca-certificate",
    "ca_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of the certificates to believe for the stellar.toml. Default: the system's.",
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="For each step of each check.",
)
@click.option("--quiet", is_flag=True, help="Leave out what is ok.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_obj
def doctor(
    context: CliContext,
    /,
    *,
    offline: bool,
    sends_examples: bool,
    domains: tuple[str, ...],
    ca_path: Path | None,
    timeout_seconds: float,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check configuration, Kafka, every endpoint, the clocks and the signing key.

    Nothing is changed anywhere: endpoints are asked by OPTIONS, unless --send-test-event.
    """
    from eventproc.doctor.examination import Order, examine, steps  # noqa: PLC0415 - `eventproc --help` stays quick

    settings = context.load()
    quieten(settings)
    order = Order(offline, sends_examples, timeout_seconds, domains, ca_path)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("looking", total=steps(settings, order))
        found = asyncio.run(examine(settings, order, lambda: progress.advance(bar)))
    code = _exit_code(found.checks, is_broker_away=found.is_broker_away)
    if as_json:
        print_json(_as_object(found.checks, code))
    else:
        _print(found.checks, quiet=quiet)
    raise click.exceptions.Exit(int(code))


def _exit_code(checks: Sequence[Check], *, is_broker_away: bool) -> ExitCode:
    if is_broker_away:
        return ExitCode.BROKER_UNAVAILABLE
    return ExitCode.CHECK_FAILED if count(checks, State.PROBLEM) else ExitCode.OK


def _as_object(checks: Sequence[Check], code: ExitCode) -> dict[str, object]:
    return {
        "exit_code": int(code),
        "counts": {state.value: count(checks, state) for state in State},
        "checks": [
            {
                "subject": check.subject,
                "name": check.name,
                "state": check.state.value,
                "what": check.what,
                "way_out": check.way_out or None,
            }
            for check in checks
        ],
    }


def _print(checks: Sequence[Check], *, quiet: bool) -> None:
    """One check after the other. Answers and certificates come from others, hence ``printable``."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for check in checks:
        if quiet and check.state is State.OK:
            continue
        console.print(f"{check.state.value:<{_WIDTH}}", style=_STYLES[check.state], end=" ")
        console.print(printable(f"{check.subject}  {check.name}: {check.what}"))
        if check.way_out and check.state is not State.OK:
            console.print(printable(f"{' ' * _WIDTH}   {check.way_out}"))
    counts = {state: count(checks, state) for state in State}
    parts = [
        f"{counts[State.PROBLEM]} problem{'s'[: counts[State.PROBLEM] != 1]}",
        f"{counts[State.WARNING]} warning{'s'[: counts[State.WARNING] != 1]}",
        f"{counts[State.OK]} ok",
        *([f"{counts[State.SKIPPED]} not looked at"] if counts[State.SKIPPED] else []),
    ]
    console.print(", ".join(parts))
