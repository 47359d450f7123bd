"""``eventproc shadow``: what a shadow worker would have sent, and how it compares with what was sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import TimeParam, plain_console, print_json, quieten, run
from eventproc.cli.shadow_report import print_report
from eventproc.destination_patterns import UnknownNameError, choose
from eventproc.identifiers import DestinationId
from eventproc.shadow.capture import CaptureError, read_capture
from eventproc.shadow.records import is_masked
from eventproc.shadow.request import SentRequest
from settings import Settings
from settings.shadow import as_shadow

if TYPE_CHECKING:
    from eventproc.shadow.diff import Report

EPILOG: Final = """\b
Exit codes:
  0  nothing differs but what is known to
  1  something differs, or one side has nothing
  2  wrong configuration or usage, or a file that cannot be read
  3  Kafka did not answer"""

EXPORT_EPILOG: Final = """\b
Exit codes:
  0  printed
  1  there is nothing to print
  2  wrong configuration or usage
  3  Kafka did not answer"""

Read: TypeAlias = Callable[[Settings], Coroutine[Any, Any, list[SentRequest]]]
"""Gives what shadow workers wrote; ``read_shadow``."""

_window: Final = (
    click.option("--since", type=TimeParam(), help="Sent then or later: ISO-8601, or `2h`, `3d` ago."),
    click.option("--until", type=TimeParam(), help="Sent then or earlier."),
    click.option(
        "--destination", "patterns", multiple=True, metavar="ID|GLOB", help="Only there; may be repeated."
    ),
)


def shadow_commands(read: Read) -> click.Group:
    """The group; what it reads is given, for tests bring their own."""

    @click.group()
    def shadow() -> None:
        """See what a worker with delivery.mode: shadow would have sent, and compare it."""

    @shadow.command(epilog=EXPORT_EPILOG)
    @_windowed
    @click.pass_obj
    def export(context: CliContext, /, **options: Any) -> None:
        """Print each request as a line of JSON, for `shadow diff --here`. Secrets are masked."""
        settings = as_shadow(context.load())
        chosen = _chosen(settings, options["patterns"])
        everything = run(read(settings))
        requests = _within(everything, options, chosen)
        for request in requests:
            print_json(request.to_json(), indent=None)
        if not requests:
            fail(_why_none(settings, len(everything)), ExitCode.CHECK_FAILED)

    @shadow.command(epilog=EPILOG)
    @click.argument(
        "captures", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
    )
    @click.option(
        "--here",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="What a shadow worker would have sent, as `shadow export` printed it, in place of the topic.",
    )
    @_windowed
    @click.option(
        "--ignore",
        "ignored",
        multiple=True,
        metavar="MEMBER",
        help="May differ, with what is below: transaction.fee_details, header.x-foo, payload.*.message.",
    )
    @click.option(
        "--ignore-url", "ignored_urls", multiple=True, metavar="GLOB", help="Captured, not ours to send."
    )
    @click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Rows to show.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with every difference.")
    @click.pass_obj
    def diff(
        context: CliContext, /, *, captures: tuple[Path, ...], limit: int, as_json: bool, **options: Any
    ) -> None:
        """Compare captured requests with what a shadow worker would have sent.

        CAPTURES are what the Anchor Platform did send: files of JSON lines or HAR, all taken together. The
        other side is the topic of the shadow workers or, with --here, what `shadow export` printed of it.

        Bodies are compared member by member, the captured signatures and tokens verified, order checked for
        each transaction. What is known to differ is counted with its reason.
        """
        settings = as_shadow(context.load())
        report = _compare(settings, read, captures, options)
        if as_json:
            print_json(report.to_json())
        else:
            print_report(report, plain_console(), limit)
        if report.found or not report.there.count or not report.here.count:
            raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))

    return shadow


def _windowed(command: Any) -> Any:
    for option in reversed(_window):
        command = option(command)
    return command


def _compare(settings: Settings, read: Read, captures: Sequence[Path], options: dict[str, Any]) -> Report:
    from eventproc.shadow.diff import diff  # noqa: PLC0415 - `eventproc --help` stays quick
    from eventproc.shadow.rules import build_rules  # noqa: PLC0415

    chosen = _chosen(settings, options["patterns"])
    rules = build_rules(settings, options["ignored"], options["ignored_urls"])
    captured = [request for path in captures for request in _read_captured(path)]
    made = run(read(settings)) if options["here"] is None else _read_file(options["here"])
    there = captured
    if chosen is not None:
        there = [one for one in captured if rules.destination_of(one) in chosen]
    return diff(_within(there, options, None), _within(made, options, chosen), rules, [*captured, *made])


def _chosen(settings: Settings, patterns: Sequence[str]) -> list[DestinationId] | None:
    """The destinations that are asked for; None for all, those of an earlier configuration included."""
    if not patterns:
        return None
    from eventproc.destinations import build_destinations  # noqa: PLC0415 - `eventproc --help` stays quick

    try:
        return choose(patterns, list(build_destinations(settings)))
    except UnknownNameError as error:
        fail(printable(str(error)), ExitCode.USAGE)


def _why_none(settings: Settings, count: int) -> str:
    if count:
        where = printable(settings.topics.requests)
        return f"None of the {count} requests in {where} fits --since, --until and --destination."
    return (
        f"Topic {printable(settings.topics.requests)} is not there, or has no records: "
        "a worker with delivery.mode: shadow makes and fills it."
    )


def _read_captured(path: Path) -> list[SentRequest]:
    """What was sent, tokens and all; what ``shadow export`` printed has none, and is the other side."""
    found = _read_file(path)
    masked = sum(is_masked(request) for request in found)
    if masked:
        fail(
            printable(
                f"{path}: secrets are masked in {masked} of {len(found)} requests, as `shadow export` does "
                f"it. Such a file is what a shadow worker would have sent: give it by --here {path}, and as "
                "CAPTURES what the Anchor Platform sent, with its tokens, which are verified."
            ),
            ExitCode.USAGE,
        )
    return found


def _read_file(path: Path) -> list[SentRequest]:
    try:
        return read_capture(path.read_text("utf-8"), str(path))
    except (CaptureError, UnicodeDecodeError, OSError) as error:
        fail(printable(str(error)), ExitCode.USAGE)


def _within(
    requests: Iterable[SentRequest], options: dict[str, Any], chosen: Collection[DestinationId] | None
) -> list[SentRequest]:
    """Those of the window and the destinations; one without a time is in every window."""
    since: datetime = options["since"] or datetime.min.replace(tzinfo=timezone.utc)
    until: datetime = options["until"] or datetime.max.replace(tzinfo=timezone.utc)
    return [
        one
        for one in requests
        if (one.at is None or since <= one.at <= until) and (chosen is None or one.destination in chosen)
    ]


def _kafka(settings: Settings) -> Coroutine[Any, Any, list[SentRequest]]:
    """The real topic; its clients take a while to import."""
    from eventproc.delivery.shadow_reader import read_shadow  # noqa: PLC0415 - `--help` stays quick

    quieten(settings)
    return read_shadow(settings)


shadow = shadow_commands(_kafka)
