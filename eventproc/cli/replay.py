"""``eventproc replay``: what the anchor published goes out again, to whom it is routed now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import TimeParam, load, plain_console, print_json, quieten, run
from eventproc.cli.stopping import stopped_by_signals
from eventproc.destination_patterns import UnknownNameError, choose
from eventproc.destinations import build_destinations
from eventproc.destinations.client_endpoint import client_endpoints
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId
from eventproc.replay import EventNote, MissingTopicError, ReplayPlan, ReplaySelection, SendProgress
from eventproc.times import from_ms, iso, to_ms
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
        """Send everything of the plan, and keep ``progress`` up to date."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """How a replay is asked for."""

    dry_run: bool
    yes: bool
    as_json: bool
    is_terminal: Callable[[], bool]


@dataclass(slots=True)
class _Done:
    """What became of a plan."""

    at: str
    progress: SendProgress = field(default_factory=SendProgress)
    problem: str | None = None
    code: ExitCode = ExitCode.OK
    is_sent: bool = False


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
        "--latest-state-only", is_flag=True, help="Of each transaction, customer or quote the newest event."
    )
    @click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
    @click.pass_obj
    def replay(context: CliContext, /, **options: Any) -> None:
        """Send events of the anchor's topic again, marked as redriven, each transaction's in order.

        They are routed by the present configuration and join the queue of their destinations. Receivers see
        X-Event-Redriven, and the same ids as before. What no worker has routed yet is left out: it comes by
        itself.
        """
        if not options["lanes"] and options["since"] is None:
            raise click.UsageError("Name --transaction, or a window by --since.")
        settings = load(context)
        selection = _selection(settings, options)
        source = open_source(settings)
        asked = _Asked(
            **{name: options[name] for name in ("dry_run", "yes", "as_json")}, is_terminal=is_terminal
        )
        plan = _plan(source, selection)
        _end(asked, plan, _send(source, plan, asked))

    return replay


def _selection(settings: Settings, options: dict[str, Any]) -> ReplaySelection:
    destinations = list(build_destinations(settings))
    if options["clients"]:
        destinations = [one for one in destinations if one in _of_clients(settings, options["clients"])]
    try:
        chosen = choose(options["patterns"], destinations)
    except UnknownNameError as error:
        fail(printable(str(error)), ExitCode.USAGE)
    return ReplaySelection(
        frozenset(chosen),
        None if options["since"] is None else to_ms(options["since"]),
        None if options["until"] is None else to_ms(options["until"]),
        frozenset(options["lanes"]),
        latest_state_only=options["latest_state_only"],
    )


def _of_clients(settings: Settings, names: Sequence[str]) -> set[DestinationId]:
    known = [client.name for client in settings.clients]
    for name in names:
        if name not in known:
            fail(printable(str(UnknownNameError("client", name, known))), ExitCode.USAGE)
    return {id_ for name in names for id_ in client_endpoints(settings, name).values()}


def _plan(source: Source, selection: ReplaySelection) -> ReplayPlan:
    with _bar("reading", None) as update:
        try:
            return run(source.plan(selection, lambda read, total: update(read, max(read, total))))
        except MissingTopicError as error:
            fail(printable(str(error)), ExitCode.CHECK_FAILED)


def _send(source: Source, plan: ReplayPlan, asked: _Asked) -> _Done:
    """Ask where a person is there to be asked, then send."""
    done = _Done(iso(datetime.now(timezone.utc)))
    if not plan.copies:
        done.problem, done.code = "Nothing matches: nothing was sent.", ExitCode.CHECK_FAILED
        return done
    if not asked.as_json:
        _print_plan(plan)
    if asked.dry_run:
        return done
    require_consent(f"Send {_amount(plan)} again?", yes=asked.yes, is_terminal=asked.is_terminal)
    done.is_sent = True
    with _bar("sending", len(plan.copies)) as update, stopped_by_signals(done.progress):
        try:
            asyncio.run(source.send(plan, done.at, done.progress, lambda: update(done.progress.events, None)))
        except BrokerUnavailableError as error:
            done.problem, done.code = str(error), ExitCode.BROKER_UNAVAILABLE
        except KeyboardInterrupt:
            done.progress.is_stopping = True
    if done.problem is None and done.progress.events < len(plan.copies):
        gone = "The anchor's topic does not hold all of it any more."
        done.problem = "Interrupted." if done.progress.is_stopping else gone
        done.code = ExitCode.CHECK_FAILED
    return done


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal, nothing else; told how far it is, and of how many if that changes."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, of: progress.update(task, completed=done, total=of or total)


def _end(asked: _Asked, plan: ReplayPlan, done: _Done) -> None:
    if asked.as_json:
        print_json(_as_object(plan, done, dry_run=asked.dry_run))
    elif plan.copies and asked.dry_run:
        click.echo(f"{_amount(plan)} would be sent; this was a dry run.")
    elif done.is_sent and done.problem is None:
        click.echo(f"{_amount(plan)} sent again, marked {done.at}.")
    for line in _left_out(plan):
        click.echo(line, err=True)
    if done.problem is not None:
        click.echo(printable(done.problem), err=True)
        if done.is_sent:
            click.echo(_how_far(plan, done.progress), err=True)
        raise click.exceptions.Exit(int(done.code))


def _how_far(plan: ReplayPlan, progress: SendProgress) -> str:
    rest = f" {progress.in_doubt} more may be." if progress.in_doubt else ""
    copies = f"{progress.written} of {plan.copy_count} copies are written.{rest}"
    if progress.last is None:
        return f"{copies} Run it again to send them."
    at, last = iso(from_ms(progress.last.timestamp_ms)), progress.last
    return (
        f"{copies} Whole are the first {progress.events} of {len(plan.copies)} events, up to the one at "
        f"{printable(last.topic)}/{last.partition} offset {last.offset}, published {at}. "
        f"To send the rest, run it again with --since {at}."
    )


def _left_out(plan: ReplayPlan) -> list[str]:
    counts = {
        "not routed yet: they come by themselves": plan.not_routed,
        "that cannot be read": plan.unreadable,
        "for none of these destinations": plan.elsewhere,
    }
    return [f"left out: {count} {why}" for why, count in counts.items() if count]


def _print_plan(plan: ReplayPlan) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("DESTINATION", "EVENTS", "FIRST", "LAST"):
        table.add_column(title, overflow="fold", justify="right" if title == "EVENTS" else "left")
    for destination, portion in plan.portions.items():
        table.add_row(printable(destination), str(portion.count), _note(portion.first), _note(portion.last))
    plain_console().print(table)


def _note(note: EventNote) -> str:
    return printable(f"{iso(from_ms(note.published_ms))} {note.event_id} of {note.lane}")


def _amount(plan: ReplayPlan) -> str:
    events, copies = len(plan.copies), plan.copy_count
    return f"{events} event{'s'[: events != 1]} in {copies} cop{'ies' if copies != 1 else 'y'}"


def _as_object(plan: ReplayPlan, done: _Done, *, dry_run: bool) -> dict[str, object]:
    last = done.progress.last
    return {
        "at": done.at,
        "dry_run": dry_run,
        "events": len(plan.copies),
        "copies": plan.copy_count,
        "written": done.progress.written,
        "in_doubt": done.progress.in_doubt,
        "whole_events": done.progress.events,
        "last_whole": None if last is None else last._asdict(),
        "destinations": [
            {"id": id_, "events": one.count, "first": _note_object(one.first), "last": _note_object(one.last)}
            for id_, one in plan.portions.items()
        ],
        "left_out": {
            "not_routed": plan.not_routed,
            "unreadable": plan.unreadable,
            "elsewhere": plan.elsewhere,
        },
        "problem": done.problem,
    }


def _note_object(note: EventNote) -> dict[str, str]:
    return {
        "event_id": note.event_id,
        "type": note.event_type,
        "transaction_id": note.lane,
        "published_at": iso(from_ms(note.published_ms)),
    }


def _kafka(settings: Settings) -> Source:
    """The real topics; their clients take a while to import."""
    from eventproc.delivery.replayer import Replayer  # noqa: PLC0415 - `eventproc --help` stays quick

    quieten(settings)
    return Replayer(settings)


replay = replay_command(_kafka)
