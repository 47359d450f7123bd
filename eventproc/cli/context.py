"""What every command shares: the configuration named on the command line, and the exit codes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import click

from settings import Problem, Settings, SettingsError, load_settings


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    BROKER_UNAVAILABLE = 3


@dataclass(frozen=True, slots=True)
class CliContext:
    """Travels as ``ctx.obj``; a test hands in its own."""

    config_path: Path | None = None
    environment: Mapping[str, str] | None = None
    """None: the process's."""
    execute: Callable[[str, list[str], Mapping[str, str]], None] = os.execve
    """Becomes another program: path, arguments, environment."""

    def load(self, *, prints_warnings: bool = False) -> Settings:
        """The settings; with mistakes in them the command ends here, having printed each.

        ``prints_warnings``: first, on standard error, as a mistyped key may be what a mistake comes from.
        """
        try:
            settings = load_settings(self.config_path, self.environment)
            if prints_warnings:
                print_warnings(settings.warnings)
            return settings
        except SettingsError as error:
            if prints_warnings:
                print_warnings(error.warnings)
            fail(str(error), ExitCode.USAGE)


def fail(message: str, code: ExitCode) -> NoReturn:
    """Prints the message to standard error and ends the command."""
    click.echo(message, err=True)
    raise click.exceptions.Exit(int(code))


def mention_warnings(settings: Settings) -> None:
    """That there are some, in one line on standard error; a program that asked for JSON is not told."""
    count = len(settings.warnings)
    if count and not click.get_current_context().params.get("as_json"):
        some = "1 warning" if count == 1 else f"{count} warnings"
        click.echo(f"{some} about the configuration: see `eventproc config check`.", err=True)


def print_warnings(warnings: Iterable[Problem]) -> None:
    """One line per warning, to standard error."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
