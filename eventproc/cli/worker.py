"""``eventproc worker``: checks the configuration, then becomes Faust's worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from eventproc.cli.context import CliContext
from settings import Settings


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("faust_arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def worker(context: CliContext, faust_arguments: tuple[str, ...]) -> None:
    """Start a worker. Arguments pass on to `faust worker`, like -l debug."""
    settings = context.load()  # its warnings are printed by the worker itself
    environment = worker_environment(context)
    context.execute(sys.executable, worker_command(settings, faust_arguments), environment)


def worker_command(settings: Settings, faust_arguments: Sequence[str]) -> list[str]:
    """The command line of Faust's worker; an argument of the caller comes last and so wins."""
    return [
        sys.executable,
        *("-m", "faust", "-A", "eventproc.app", "worker"),
        *("-l", settings.logging.level),
        *faust_arguments,
    ]


def worker_environment(context: CliContext) -> Mapping[str, str]:
    """The environment with the configuration's path in it: the worker has only that to find it."""
    environment = dict(os.environ if context.environment is None else context.environment)
    if context.config_path is not None:
        environment["EVENTPROC_CONFIG"] = str(Path(context.config_path).absolute())
    return environment
