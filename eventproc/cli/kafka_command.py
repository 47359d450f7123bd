"""What commands that work on Kafka have in common: settings, troubles, times, and what is printed.

What comes from other parties (ids, reasons, answers) reaches a terminal through ``printable`` alone, and no
markup in it is obeyed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from eventproc.cli.context import CliContext, ExitCode, fail, mention_warnings
from eventproc.cli.dead_letter_text import printable
from eventproc.errors import BrokerRefusedError, BrokerUnavailableError
from eventproc.times import read_time
from settings import Settings

T = TypeVar("T")

_PIPE_COLUMNS: Final = 10_000


class TimeParam(click.ParamType):
    """A time in ISO-8601, UTC without a zone, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """As click asks for it."""
        if isinstance(value, datetime):
            return value
        at = read_time(str(value), datetime.now(timezone.utc))
        if at is None:
            self.fail(f"{value!r} is not a time like 2026-01-31, 2026-01-31T12:00:00Z, 2h or 3d", param, ctx)
        return at


def load(context: CliContext) -> Settings:
    """The settings; a warning can be a misspelt topic prefix, which would show nothing."""
    settings = context.load()
    mention_warnings(settings)
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do it; when Kafka is away or does not let us in, the command ends here."""
    try:
        return asyncio.run(work)
    except BrokerRefusedError as error:
        fail(printable(str(error)), ExitCode.USAGE)
    except BrokerUnavailableError as error:
        fail(printable(str(error)), ExitCode.BROKER_UNAVAILABLE)


def quieten(settings: Settings) -> None:
    """Kafka's clients log what the exit code says already."""
    from eventproc.logs import configure_logging  # noqa: PLC0415 - `eventproc --help` stays quick

    configure_logging(settings.logging.format)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """In ASCII, which has every control character escaped."""
    click.echo(json.dumps(value, indent=indent))


def plain_console() -> Console:
    """For tables: through a pipe every row is one line, however long."""
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, emoji=False, width=_PIPE_COLUMNS)
