"""``eventproc timeline``: what became of one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timezone
from typing import Final, Literal, Protocol

import click
from rich.table import Table
from typing_extensions import assert_never

from eventproc.breaker import BreakerState
from eventproc.cli.context import CliContext, ExitCode
from eventproc.cli.dead_letter_text import fact, printable
from eventproc.cli.kafka_command import TimeParam, load, plain_console, print_json, quieten, run
from eventproc.journal_entries import Attempt
from eventproc.pauses import Pause
from eventproc.timeline import DestinationTimeline, EventTimeline, State, Timeline, held_up, iso_time
from eventproc.times import iso
from settings import Settings

WITHIN_SECONDS: Final = 60.0

_TEXTS: Final = {
    State.DELIVERED: "delivered",
    State.WAITING: "waiting",
    State.BEHIND: "behind",
    State.UNDER_WAY: "under way",
    State.HELD_UP: "waits",
    State.DEAD_LETTERED: "dead-lettered",
    State.SKIPPED: "skipped",
    State.UNKNOWN: "not known",
}
_COLUMNS: Final = ("DESTINATION", "STATE", "AT (UTC)", "TRY", "OUTCOME", "ANSWER", "TOOK", "NEXT TRY (UTC)")
_RIGHT: Final = {"TRY", "TOOK"}
_WRAPPED: Final = {"STATE", "ANSWER"}


class Read(Protocol):
    """How a timeline is read; ``read_timeline``."""

    def __call__(
        self, settings: Settings, lane_key: str, since_seconds: float, within_seconds: float
    ) -> Awaitable[Timeline]:
        """What became of this lane."""


def timeline_command(open_reader: Callable[[Settings], Read]) -> click.Command:
    """The command; what it reads with is given, for tests bring their own."""

    @click.command()
    @click.argument("transaction")
    @click.option(
        "--since", type=TimeParam(), default="24h", show_default=True, help="Look back so far, or to a time."
    )
    @click.option(
        "--within",
        type=click.FloatRange(min=0, min_open=True),
        default=WITHIN_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Read no longer than this.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
    @click.pass_obj
    def timeline(
        context: CliContext, /, *, transaction: str, since: datetime, within: float, as_json: bool
    ) -> None:
        """Show each event of a transaction, where it went, and every attempt.

        Of a quote, a customer or an event by itself, give its id. Exits with 1 when nothing is known of it.
        """
        settings = load(context)
        back = max(0.0, (datetime.now(timezone.utc) - since).total_seconds())
        found = run(_awaited(open_reader(settings)(settings, transaction, back, within)))
        if as_json:
            print_json(found.to_json())
        else:
            _print(found, since)
        if not found.events:
            raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))

    return timeline


async def _awaited(answer: Awaitable[Timeline]) -> Timeline:
    return await answer


def _print(found: Timeline, since: datetime) -> None:
    name = printable(found.lane)
    if not found.events:
        click.echo(f"Nothing is known of {name} since {iso(since)}.")
    for event in found.events:
        _print_event(event, found.as_of)
    for sentence in found.unknown:
        click.echo(f"note: {printable(sentence)}", err=True)


def _print_event(event: EventTimeline, now: float) -> None:
    click.echo(printable(" · ".join(_headline(event))))
    table = Table(box=None, pad_edge=False)
    for title in _COLUMNS:
        justify: Literal["left", "right"] = "right" if title in _RIGHT else "left"
        table.add_column(title, overflow="fold", justify=justify, no_wrap=title not in _WRAPPED)
    for one in event.destinations:
        rows = [_attempt_row(attempt) for attempt in one.attempts] or [()]
        first = (one.destination, _state(one, now))
        for number, row in enumerate(rows):
            table.add_row(*(map(fact, first) if number == 0 else ("", "")), *map(fact, row))
    if event.destinations:
        plain_console().print(table)
    click.echo()


def _headline(event: EventTimeline) -> Iterator[str]:
    yield f"event {event.event_id}"
    routed = event.routed
    if routed is not None:
        yield routed.event_type
        if routed.sep is not None:
            yield f"SEP {routed.sep}"
    yield f"published {iso_time(event.published_at)}"
    if event.source is not None:
        yield f"{event.source.topic}/{event.source.partition}/{event.source.offset}"
    if routed is not None:
        yield f"client by {routed.match}"
        if not (routed.destinations or routed.unbuildable):
            yield "goes nowhere"
        if routed.misfit is not None:
            yield f"no client can be told: {routed.misfit}"
        if routed.unbuildable:
            yield f"no body for {', '.join(routed.unbuildable)}: dead-lettered"
    if event.invalid is not None:
        yield f"in the invalid topic: {event.invalid.reason}: {event.invalid.detail}"


def _state(one: DestinationTimeline, now: float) -> str:
    return "; ".join(filter(None, (_stand(one, now), _hold(one))))


def _hold(one: DestinationTimeline) -> str:
    """Why nothing starts there."""
    match one.held_by:
        case None:
            return ""
        case Pause(by, reason, at):
            return f"paused by {by} since {at}: {reason}"
        case BreakerState():
            return f"breaker {one.held_by.value.replace('_', '-')}"
        case _:
            assert_never(one.held_by)


def _stand(one: DestinationTimeline, now: float) -> str:
    text = _TEXTS[one.state]
    if one.skipped_as is not None:
        return f"{text}, as {one.skipped_as}"
    if one.state is State.BEHIND:
        return f"{text} event {one.behind}"
    if one.next_try_at is not None:
        return f"waiting until {_clock(one.next_try_at)}" if one.next_try_at > now else "next try is due"
    if one.state is State.DEAD_LETTERED and one.dead_letter is not None:
        return f"{text} {_clock(one.dead_letter.at)}, {one.dead_letter.reason}"
    return text if one.redriven_at is None else f"{text}, redriven {_clock(one.redriven_at)}"


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    answer = f"{attempt.kind}: {attempt.detail}" if attempt.status is None else f"HTTP {attempt.status}"
    return (
        _clock(attempt.at),
        attempt.number,
        attempt.outcome if attempt.redriven is None else f"{attempt.outcome}, redriven",
        answer,
        f"{attempt.seconds * 1000:.0f} ms",
        None if attempt.next_try_at is None else _clock(attempt.next_try_at),
    )


def _clock(at: float) -> str:
    """To the second and without the year: ``11-25 15:53:20``."""
    return iso_time(at)[5:19].replace("T", " ")


def _kafka(settings: Settings) -> Read:
    """The real topics; their clients take a while to import."""
    from eventproc.delivery.control import read_paused  # noqa: PLC0415 - `--help` stays quick
    from eventproc.delivery.timeline_reader import read_timeline  # noqa: PLC0415

    async def read(
        settings: Settings, lane_key: str, since_seconds: float, within_seconds: float
    ) -> Timeline:
        found, paused = await asyncio.gather(
            read_timeline(settings, lane_key, since_seconds, within_seconds), read_paused(settings)
        )
        return held_up(found, {str(id_): pause for id_, pause in paused.items()})

    quieten(settings)
    return read


timeline = timeline_command(_kafka)
