"""``eventproc replay``: what the anchor published goes out again, to whom it is routed now.

A resume point is printed on standard error before the first event is sent, and after every round of
``ROUND_EVENTS``. So a command that was killed can be continued, and at most one round comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import TimeParam, load, print_json, quieten, run
from eventproc.cli.replay_text import (
    ReplayEnd,
    amount,
    as_object,
    how_far,
    left_out,
    point_line,
    print_plan,
)
from eventproc.cli.stopping import stopped_by_signals
from eventproc.destination_patterns import UnknownNameError, choose
from eventproc.destinations import build_destinations
from eventproc.destinations.client_endpoint import client_endpoints
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId
from eventproc.replay import MissingTopicError, ReplayPlan, ReplaySelection, SendProgress
from eventproc.replay_point import Rest, ResumePoint, ResumePointError, read_point
from eventproc.times import iso, to_ms
from settings import Settings

EPILOG: Final = """\b
Exit codes:
  0  done; or, with --dry-run, shown
  1  nothing matches, refused, no terminal to ask at and no --yes, or not all of it was sent
  2  wrong configuration or usage, or a client or destination that does not exist
  3  Kafka did not answer"""


class Source(Protocol):
    """The anchor's topic and the destinations' topics, as the command sees them."""

    async def plan(self, selection: ReplaySelection, on_progress: Callable[[int, int], None]) -> ReplayPlan:
        """What to send for a selection; tells how many records of how many are read."""
        ...

    async def send(
        self, plan: ReplayPlan, at: str, progress: SendProgress, on_progress: Callable[[], None]
    ) -> None:
        """Send everything of the plan, and keep ``progress`` up to date; calls back after each round."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a replay is asked for."""

    dry_run: bool
    yes: bool
    as_json: bool
    is_terminal: Callable[[], bool]


def replay_command(
    open_source: Callable[[Settings], Source], is_terminal: Callable[[], bool] = stdin_is_terminal
) -> click.Command:
    """The command; what it works on is given, for tests bring their own."""

    @click.command(cls=WritingCommand, epilog=EPILOG)
    @click.option(
        "--transaction",
        "lanes",
        multiple=True,
        metavar="ID",
        help="A transaction's, customer's or quote's id; may be repeated.",
    )
    @click.option("--since", type=TimeParam(), help="Published then or later: ISO-8601, or `2h`, `3d` ago.")
    @click.option("--until", type=TimeParam(), help="Published then or earlier; default: now.")
    @click.option(
        "--destination", "patterns", multiple=True, metavar="ID|GLOB", help="Only there; may be repeated."
    )
    @click.option("--client", "clients", multiple=True, metavar="NAME", help="Only there; may be repeated.")
    @click.option(
        "--resume",
        metavar="POINT",
        help="Send the rest of a replay that was ended; the point says what was asked for.",
    )
    @click.option(
        "--latest-state-only", is_flag=True, help="Of each transaction, customer or quote the newest event."
    )
    @click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
    @click.pass_obj
    def replay(context: CliContext, /, **options: Any) -> None:
        """Send events of the anchor's topic again, marked as redriven, each transaction's in order.

        They are routed by the present configuration and join the queue of their destinations. Receivers see
        X-Event-Redriven, and the same ids as before. What no worker has routed yet is left out: it comes by
        itself. One that was ended, also by SIGKILL, can be continued: it prints with which --resume.
        """
        point = _point(options)
        settings = load(context)
        source = open_source(settings)
        asked = _Asked(
            **{name: options[name] for name in ("dry_run", "yes", "as_json")}, is_terminal=is_terminal
        )
        if options["resume"] is not None and not point.rest.events:
            click.echo("Nothing is left of this replay: all of it was sent.", err=True)
            _end(asked, ReplayPlan(), ReplayEnd(point))
            return
        plan = _plan(source, _selection(settings, point, is_resumed=options["resume"] is not None))
        rest = Rest.of_plan(plan)
        if options["resume"] is not None:
            _require_same(point.rest, rest)
        _end(asked, plan, _send(source, plan, asked, replace(point, rest=rest)))

    return replay


def _point(options: dict[str, Any]) -> ResumePoint:
    """Where to begin: at the point that is given, or at the beginning of what is asked for."""
    selecting = ("lanes", "since", "until", "patterns", "clients", "latest_state_only")
    if options["resume"] is not None:
        if any(options[name] for name in selecting):
            raise click.UsageError("--resume says what was asked for: give no other selection beside it.")
        try:
            return read_point(options["resume"])
        except ResumePointError as error:
            fail(printable(str(error)), ExitCode.USAGE)
    if not options["lanes"] and options["since"] is None:
        raise click.UsageError("Name --transaction, or a window by --since.")
    return ResumePoint(
        iso(datetime.now(timezone.utc)),
        Rest(),
        None if options["since"] is None else to_ms(options["since"]),
        None if options["until"] is None else to_ms(options["until"]),
        tuple(options["lanes"]),
        tuple(options["patterns"]),
        tuple(options["clients"]),
        options["latest_state_only"],
    )


def _selection(settings: Settings, point: ResumePoint, *, is_resumed: bool) -> ReplaySelection:
    destinations = list(build_destinations(settings))
    if point.clients:
        destinations = [one for one in destinations if one in _of_clients(settings, point.clients)]
    try:
        chosen = choose(point.patterns, destinations)
    except UnknownNameError as error:
        fail(printable(str(error)), ExitCode.USAGE)
    return ReplaySelection(
        frozenset(chosen),
        point.since_ms,
        point.until_ms,
        frozenset(point.lanes),
        latest_state_only=point.latest_state_only,
        spans=point.rest.spans if is_resumed else None,
    )


def _of_clients(settings: Settings, names: Sequence[str]) -> set[DestinationId]:
    known = [client.name for client in settings.clients]
    for name in names:
        if name not in known:
            fail(printable(str(UnknownNameError("client", name, known))), ExitCode.USAGE)
    return {id_ for name in names for id_ in client_endpoints(settings, name).values()}


def _plan(source: Source, selection: ReplaySelection) -> ReplayPlan:
    with _bar("reading", None) as bar:
        try:
            return run(source.plan(selection, lambda read, total: bar.update(read, max(read, total))))
        except MissingTopicError as error:
            fail(printable(str(error)), ExitCode.CHECK_FAILED)


def _require_same(left: Rest, found: Rest) -> None:
    try:
        left.require(found)
    except ResumePointError as error:
        fail(str(error), ExitCode.CHECK_FAILED)


def _send(source: Source, plan: ReplayPlan, asked: _Asked, point: ResumePoint) -> ReplayEnd:
    """Ask where a person is there to be asked, then send."""
    done = ReplayEnd(point, SendProgress(whole=point.rest.take))
    if not plan.copies:
        done.problem, done.code = "Nothing matches: nothing was sent.", ExitCode.CHECK_FAILED
        return done
    if not asked.as_json:
        print_plan(plan)
    if asked.dry_run:
        return done
    require_consent(f"Send {amount(plan)} again?", yes=asked.yes, is_terminal=asked.is_terminal)
    done.is_sent = True
    with _bar("sending", len(plan.copies)) as bar, stopped_by_signals(done.progress):

        def report() -> None:
            bar.update(done.progress.events, None)
            bar.print(point_line(plan, done, as_json=asked.as_json))

        try:
            report()
            asyncio.run(source.send(plan, point.at, done.progress, report))
        except BrokerUnavailableError as error:
            done.problem, done.code = str(error), ExitCode.BROKER_UNAVAILABLE
        except KeyboardInterrupt:
            done.progress.is_stopping = True
    if done.problem is None and done.progress.events < len(plan.copies):
        gone = "The anchor's topic does not hold all of it any more."
        done.problem = "Interrupted." if done.progress.is_stopping else gone
        done.code = ExitCode.CHECK_FAILED
    return done


class _Bar(NamedTuple):
    """``update`` takes how far it is, and of how many if that changes; ``print`` a line to show above it."""

    update: Callable[[int, int | None], None]
    print: Callable[[str], None]


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[_Bar]:
    """A progress bar on a terminal; lines go to standard error in any case."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield _Bar(
            lambda done, of: progress.update(task, completed=done, total=of or total),
            lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False),
        )


def _end(asked: _Asked, plan: ReplayPlan, done: ReplayEnd) -> None:
    if asked.as_json:
        print_json(as_object(plan, done, dry_run=asked.dry_run))
    elif plan.copies and asked.dry_run:
        click.echo(f"{amount(plan)} would be sent; this was a dry run.")
    elif done.is_sent and done.problem is None:
        click.echo(f"{amount(plan)} sent again, marked {done.point.at}.")
    for line in left_out(plan):
        click.echo(line, err=True)
    if done.problem is not None:
        click.echo(printable(done.problem), err=True)
        if done.is_sent:
            click.echo(how_far(plan, done), err=True)
        raise click.exceptions.Exit(int(done.code))


def _kafka(settings: Settings) -> Source:
    """The real topics; their clients take a while to import."""
    from eventproc.delivery.replayer import Replayer  # noqa: PLC0415 - `eventproc --help` stays quick

    quieten(settings)
    return Replayer(settings)


replay = replay_command(_kafka)
