"""``eventproc``: the command line. Each command is a module of its own; a new one is one line here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from eventproc.cli.config import config
from eventproc.cli.context import CliContext
from eventproc.cli.deadletter import deadletter
from eventproc.cli.destinations import destinations
from eventproc.cli.doctor import doctor
from eventproc.cli.invalid import invalid
from eventproc.cli.listen import listen
from eventproc.cli.offsets import offsets
from eventproc.cli.plan import plan
from eventproc.cli.replay import replay
from eventproc.cli.send_example import send_example
from eventproc.cli.shadow import shadow
from eventproc.cli.timeline import timeline
from eventproc.cli.verify import verify
from eventproc.cli.worker import worker

EPILOG = """\b
Exit codes:
  0  ok
  1  a check failed
  2  wrong configuration or usage
  3  broker unavailable"""


@click.group(epilog=EPILOG)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A YAML file of settings. Default: what EVENTPROC_CONFIG or STELLAR_ANCHOR_CONFIG names.",
)
@click.version_option(package_name="eventproc")
@click.pass_context
def main(ctx: click.Context, config_path: Path | None) -> None:
    """Deliver a Stellar anchor's events to its business server and its wallets."""
    context = ctx.obj if isinstance(ctx.obj, CliContext) else CliContext()
    ctx.obj = replace(context, config_path=config_path) if config_path is not None else context


main.add_command(config)
main.add_command(deadletter)
main.add_command(destinations)
main.add_command(doctor)
main.add_command(invalid)
main.add_command(listen)
main.add_command(offsets)
main.add_command(plan)
main.add_command(replay)
main.add_command(send_example)
main.add_command(shadow)
main.add_command(timeline)
main.add_command(verify)
main.add_command(worker)
