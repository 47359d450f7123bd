"""``eventproc deadletter``: which events wait in the dead-letter topic, why, and send them again.

Nothing from an event or an answer is printed before ``printable``, and no markup in it is obeyed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Protocol

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import as_lines, details, fact, printable, summary
from eventproc.cli.kafka_command import TimeParam, load, plain_console, print_json, quieten, run
from eventproc.cli.stopping import StopRequest, stopped_by_signals
from eventproc.dead_letters import DeadLetterReason
from eventproc.destinations import build_destinations
from eventproc.errors import BrokerUnavailableError
from eventproc.redrive import (
    Entry,
    Plan,
    RefusedLettersError,
    Selection,
    StalePlanError,
    plan_redrive,
)
from eventproc.times import iso
from settings import Settings

_EXAMPLES: Final = 5


class DeadLetters(Protocol):
    """The dead-letter topic, as the commands see it."""

    async def read_waiting(self) -> list[Entry]:
        """What waits, in the topic's order."""
        ...

    async def send(self, plan: Plan, on_progress: Callable[[int], None]) -> None:
        """Send everything of the plan. Raises StalePlanError when it is not what waits any more."""
        ...


class _StoppedError(Exception):
    """The operator stopped it between two rounds."""


@dataclass(frozen=True, slots=True)
class _Redrive:
    """How a redrive is asked for."""

    dry_run: bool
    yes: bool
    allow_gaps: bool
    as_json: bool
    is_terminal: Callable[[], bool]


def deadletter_commands(
    open_topic: Callable[[Settings], DeadLetters], is_terminal: Callable[[], bool] = stdin_is_terminal
) -> click.Group:
    """The command group; what it works on is given, for tests bring their own."""

    @click.group()
    def deadletter() -> None:
        """List, show and redrive the events that their destination did not take."""

    @deadletter.command(name="list")
    @_filters
    @click.option("--json", "as_json", is_flag=True, help="A JSON array instead of a table.")
    @click.pass_obj
    def list_(context: CliContext, /, *, as_json: bool, **filters: Any) -> None:
        """List what waits, oldest first."""
        settings = load(context)
        waiting = run(open_topic(settings).read_waiting())
        selection = Selection(**filters)
        entries = [entry for entry in waiting if selection.matches(entry)]
        if as_json:
            print_json([summary(entry) for entry in entries])
        elif entries:
            _print_table(entries)
            click.echo(_count(entries))
        else:
            click.echo("No dead letter matches." if waiting else "No dead letter waits.")

    @deadletter.command()
    @click.argument("event_id")
    @click.option("--destination", "destinations", multiple=True, help="Only there; may be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="A JSON array instead of text.")
    @click.pass_obj
    def show(context: CliContext, *, event_id: str, destinations: tuple[str, ...], as_json: bool) -> None:
        """Show all that is known of one event's dead letters. Exits with 1 when there is none."""
        settings = load(context)
        selection = Selection(event_ids=(event_id,), destinations=destinations)
        entries = [e for e in run(open_topic(settings).read_waiting()) if selection.matches(e)]
        if not entries:
            fail(f"No dead letter of event {printable(event_id)} waits there.", ExitCode.CHECK_FAILED)
        if as_json:
            print_json([details(entry) for entry in entries])
        else:
            click.echo("\n\n".join("\n".join(as_lines(entry)) for entry in entries))

    @deadletter.command(cls=WritingCommand)
    @_filters
    @click.option("--all", "everything", is_flag=True, help="Everything that waits, instead of a filter.")
    @click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
    @click.option("--allow-gaps", is_flag=True, help="Send an event although an earlier one stays.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
    @click.pass_obj
    def redrive(context: CliContext, /, **options: Any) -> None:
        """Send events again, each transaction's in order, marked as redriven.

        What is sent is what was shown. Ctrl-C stops it cleanly: run it again to send the rest. When it is
        killed, up to 100 of the events that were sent still wait, and come twice when it is run again.

        Exits with 1 when nothing matches, or when something of it was refused.
        """
        asked = _Redrive(
            **{name: options.pop(name) for name in ("dry_run", "yes", "allow_gaps", "as_json")},
            is_terminal=is_terminal,
        )
        everything, selection = options.pop("everything"), Selection(**options)
        if selection.is_everything != everything:
            raise click.UsageError("Name a filter, or --all for everything that waits; not both.")
        settings = load(context)
        topic = open_topic(settings)
        _redrive(topic, _plan(settings, run(topic.read_waiting()), selection), asked)

    return deadletter


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose entries; their names are those of ``Selection``."""
    reasons = click.Choice([reason.value for reason in DeadLetterReason])
    options = [
        click.option(
            "--event-id", "event_ids", multiple=True, help="May be repeated, like all but the times."
        ),
        click.option(
            "--transaction-id", "transaction_ids", multiple=True, help="Or a quote's or customer's id."
        ),
        click.option(
            "--source", "places", multiple=True, help="Where its record stands, like TRANSACTION/0/17."
        ),
        click.option(
            "--destination",
            "destinations",
            multiple=True,
            help="`callback-api`, `client.acme.sep24`, `client.acme`.",
        ),
        click.option(
            "--since", type=TimeParam(), help="Dead-lettered then or later; ISO-8601 or `2h`, `3d` ago."
        ),
        click.option("--until", type=TimeParam(), help="Dead-lettered then or earlier."),
        click.option(
            "--status", "statuses", type=int, multiple=True, help="The receiver's last HTTP status."
        ),
        click.option("--reason", "reasons", type=reasons, multiple=True, help="Why it was given up."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _plan(settings: Settings, waiting: Sequence[Entry], selection: Selection) -> Plan:
    topics = {id_: destination.topic for id_, destination in build_destinations(settings).items()}
    return plan_redrive(waiting, selection, topics, iso(datetime.now(timezone.utc)))


def _redrive(topic: DeadLetters, plan: Plan, asked: _Redrive) -> None:
    if not plan.sends and not plan.refusals:
        fail("No dead letter matches.", ExitCode.CHECK_FAILED)
    is_refused = bool(plan.gaps) and not asked.allow_gaps
    _report_problems(plan, is_refused=is_refused)
    is_sent = bool(plan.sends) and not asked.dry_run and not is_refused
    if not asked.as_json and plan.sends and (asked.dry_run or not asked.yes):
        _print_table([send.entry for send in plan.sends])
    if is_sent:
        require_consent(_question(plan), yes=asked.yes, is_terminal=asked.is_terminal)
        _send(topic, plan)
    if asked.as_json:
        print_json(_as_object(plan, is_sent=is_sent))
    elif plan.sends:
        _print_result(plan, dry_run=asked.dry_run, is_refused=is_refused)
    if is_refused or plan.refusals:
        raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))


def _send(topic: DeadLetters, plan: Plan) -> None:
    console = Console(stderr=True)
    stop = StopRequest()
    bars = Progress(console=console, disable=not console.is_terminal, transient=True)
    with stopped_by_signals(stop), bars as progress:
        bar = progress.add_task("redriving", total=len(plan.sends))
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done = count
            progress.update(bar, completed=count)
            if stop.is_stopping and count < len(plan.sends):
                raise _StoppedError

        try:
            asyncio.run(topic.send(plan, advance))
        except StalePlanError as error:
            fail(str(error), ExitCode.CHECK_FAILED)
        except RefusedLettersError as error:
            sent = f"{done} of {len(plan.sends)} were redriven, marked {plan.at}."
            fail(f"{sent} {printable(str(error))}", ExitCode.CHECK_FAILED)
        except _StoppedError:
            fail(f"Interrupted. {_rest(done, plan)}", ExitCode.CHECK_FAILED)
        except BrokerUnavailableError as error:
            fail(f"{printable(str(error))}\n{_rest(done, plan)}", ExitCode.BROKER_UNAVAILABLE)


def _rest(done: int, plan: Plan) -> str:
    return f"{done} of {len(plan.sends)} were redriven; the rest still waits: run it again."


def _report_problems(plan: Plan, *, is_refused: bool) -> None:
    for refusal in plan.refusals[:_EXAMPLES]:
        click.echo(
            f"cannot redrive event {printable(refusal.entry.event_id)}: {printable(refusal.why)}", err=True
        )
    _and_more(len(plan.refusals))
    for gap in plan.gaps[:_EXAMPLES]:
        click.echo(
            printable(
                f"event {gap.entry.event_id} would overtake event {gap.earlier.event_id} of the same "
                f"transaction {gap.entry.lane} at {gap.entry.destination}, which waits and is not selected"
            ),
            err=True,
        )
    _and_more(len(plan.gaps))
    if is_refused:
        click.echo("Nothing was sent. Select the earlier ones too, or give --allow-gaps.", err=True)


def _and_more(count: int) -> None:
    if count > _EXAMPLES:
        click.echo(f"  and {count - _EXAMPLES} more", err=True)


def _question(plan: Plan) -> str:
    per_destination = Counter(send.entry.destination for send in plan.sends)
    where = ", ".join(f"{count} to {printable(name)}" for name, count in per_destination.items())
    return f"Send {where}?"


def _print_result(plan: Plan, *, dry_run: bool, is_refused: bool) -> None:
    entries = [send.entry for send in plan.sends]
    if dry_run:
        click.echo(f"{_count(entries)} would be sent; this was a dry run.")
    elif not is_refused:
        click.echo(f"{_count(entries)} redriven, marked {plan.at}.")


def _as_object(plan: Plan, *, is_sent: bool) -> dict[str, object]:
    sends = [summary(send.entry) | {"topic": send.topic} for send in plan.sends]
    return {
        "at": plan.at,
        "sent": sends if is_sent else [],
        "not_sent": [] if is_sent else sends,
        "refused": [summary(refusal.entry) | {"why": refusal.why} for refusal in plan.refusals],
        "gaps": [summary(gap.entry) | {"earlier_event_id": gap.earlier.event_id} for gap in plan.gaps],
    }


def _print_table(entries: Sequence[Entry]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("EVENT ID", "SOURCE", "TRANSACTION", "DESTINATION", "REASON", "ATTEMPTS", "STATUS", "AT"):
        table.add_column(
            title, overflow="fold", justify="right" if title in {"ATTEMPTS", "STATUS"} else "left"
        )
    for entry in entries:
        table.add_row(*map(fact, summary(entry).values()))
    plain_console().print(table)


def _count(entries: Sequence[Entry]) -> str:
    return f"{len(entries)} dead letter{'s'[: len(entries) != 1]}"


def _kafka(settings: Settings) -> DeadLetters:
    """The real topic; its clients take a while to import."""
    from eventproc.delivery.redriver import Redriver  # noqa: PLC0415 - `eventproc --help` stays quick

    quieten(settings)
    return Redriver(settings)


deadletter = deadletter_commands(_kafka)
