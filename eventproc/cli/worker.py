"""``eventproc worker``: checks the configuration, then becomes Faust's worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from eventproc.cli.context import CliContext, ExitCode
from settings import Settings, SettingsError, load_settings


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("faust_arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def worker(context: CliContext, faust_arguments: tuple[str, ...]) -> None:
    """Start a worker. Arguments pass on to `faust worker`, like -l debug."""
    try:
        settings = load_settings(context.config_path, context.environment)  # the worker prints its warnings
    except SettingsError as error:
        from eventproc.startup_report import report_refused  # noqa: PLC0415 - `eventproc --help` stays quick

        report_refused(error, ExitCode.USAGE)
        raise click.exceptions.Exit(int(ExitCode.USAGE)) from None
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
