"""``eventproc invalid``: which of the anchor's records could not be read, and why.

Keys, headers and values come from whoever writes to the anchor's topic: nothing is printed before
``printable``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import click
from rich.table import Table

from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import (
    fact,
    header_lines,
    header_text,
    pretty,
    printable,
    value_object,
)
from eventproc.cli.kafka_command import TimeParam, load, plain_console, print_json, quieten, run
from eventproc.invalid_records import Choice, InvalidRecord
from eventproc.times import iso
from settings import Settings


class Read(Protocol):
    """How the topic is read; ``read_invalid``."""

    async def __call__(
        self, settings: Settings, is_meant: Callable[[InvalidRecord], bool], *, with_values: bool
    ) -> list[InvalidRecord]:
        """Those that are meant."""


def invalid_commands(open_reader: Callable[[Settings], Read]) -> click.Group:
    """The command group; what it reads with is given, for tests bring their own."""

    @click.group()
    def invalid() -> None:
        """List and show the records of the anchor's topic that could not be read; nobody got them."""

    @invalid.command(name="list")
    @click.option("--reason", "reasons", multiple=True, help="Why it could not be read; may be repeated.")
    @click.option("--since", type=TimeParam(), help="Set aside then or later; ISO-8601 or `2h`, `3d` ago.")
    @click.option("--until", type=TimeParam(), help="Set aside then or earlier.")
    @click.option("--json", "as_json", is_flag=True, help="A JSON array instead of a table.")
    @click.pass_obj
    def list_(
        context: CliContext,
        *,
        reasons: tuple[str, ...],
        since: datetime | None,
        until: datetime | None,
        as_json: bool,
    ) -> None:
        """List where each stands in the anchor's topic, and the reason; the first one set aside first."""
        settings = load(context)
        choice = Choice((), reasons, since, until)
        found = run(open_reader(settings)(settings, choice.matches, with_values=False))
        if as_json:
            print_json([_summary(one) for one in found])
        elif found:
            _print_table(found)
            click.echo(f"{len(found)} record{'s'[: len(found) != 1]} could not be read.")
        else:
            click.echo(f"No such record is in {printable(settings.topics.invalid)}.")

    @invalid.command()
    @click.argument("name", metavar="PLACE|KEY")
    @click.option("--json", "as_json", is_flag=True, help="A JSON array instead of text.")
    @click.pass_obj
    def show(context: CliContext, *, name: str, as_json: bool) -> None:
        """Show one whole, by its place, like TRANSACTION/0/17, or its key. Exits with 1 if there is none."""
        settings = load(context)
        found = run(open_reader(settings)(settings, Choice((name,)).matches, with_values=True))
        if not found:
            where = printable(settings.topics.invalid)
            fail(f"There is no record {printable(name)} in {where}.", ExitCode.CHECK_FAILED)
        if as_json:
            print_json([_details(one) for one in found])
        else:
            click.echo("\n\n".join("\n".join(_lines(one)) for one in found))

    return invalid


def _summary(one: InvalidRecord) -> dict[str, object]:
    return {
        "place": one.place or None,
        "key": one.key_text or None,
        "reason": one.reason or None,
        "detail": one.detail or None,
        "value_bytes": one.value_bytes,
        "published_at": None if one.published_at is None else iso(one.published_at),
        "set_aside_at": iso(one.at),
    }


def _details(one: InvalidRecord) -> dict[str, object]:
    headers = {name: header_text(value) for name, value in one.headers}
    return _summary(one) | {"offset": one.offset, "headers": headers, **value_object(one.value)}


def _lines(one: InvalidRecord) -> list[str]:
    lines = [f"{name + ':':<14}{fact(value)}" for name, value in _summary(one).items()]
    lines += ["headers:", *header_lines(one.headers)]
    return [*lines, "value:", *(f"  {printable(line)}" for line in pretty(one.value))]


def _print_table(found: list[InvalidRecord]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("RECORD", "KEY", "REASON", "DETAIL", "PUBLISHED"):
        table.add_column(title, overflow="fold")
    for one in found:
        row = (one.place, one.key_text, one.reason, one.detail)
        table.add_row(*map(fact, row), fact(None if one.published_at is None else iso(one.published_at)))
    plain_console().print(table)


def _kafka(settings: Settings) -> Read:
    """The real topic; its clients take a while to import."""
    from eventproc.delivery.invalid_reader import read_invalid  # noqa: PLC0415 - `eventproc --help` stays quick

    quieten(settings)
    return read_invalid


invalid = invalid_commands(_kafka)
