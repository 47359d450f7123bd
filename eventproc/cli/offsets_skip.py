"""``eventproc offsets skip``: go on behind a batch that cannot be read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import click

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import load, print_json, quieten, run
from settings import Settings

EPILOG: Final = """\b
Exit codes:
  0  done; or, with --dry-run, shown
  1  refused: a worker is in our group, nothing stands in the way, or records before the batch are not done
  2  wrong configuration or usage
  3  Kafka did not answer"""


class Skipper(Protocol):
    """Kafka as the command sees it; ``OffsetSkipper``."""

    async def members(self) -> int | None:
        """How many workers are in our group; None when that is not told."""

    async def find(self, topic: str, number: int) -> Any:
        """The batch that is in the way, as an ``Obstacle``; None without one."""

    async def skip(self, obstacle: Any) -> None:
        """Note it and go on behind it."""


def skip_command(
    open_skipper: Callable[[Settings], Skipper], is_terminal: Callable[[], bool] = stdin_is_terminal
) -> click.Command:
    """The command; what it works on is given, for tests bring their own."""

    @click.command("skip", cls=WritingCommand, epilog=EPILOG)
    @click.argument("place", metavar="TOPIC/PARTITION")
    @click.option("--dry-run", is_flag=True, help="Show the batch, and change nothing.")
    @click.option(
        "--to",
        "next_offset",
        type=click.IntRange(min=1),
        metavar="OFFSET",
        help="Go on at this offset; by default at the first one behind the batch that can be read.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
    @click.pass_obj
    def skip(
        context: CliContext, *, place: str, dry_run: bool, next_offset: int | None, yes: bool, as_json: bool
    ) -> None:
        """Step over the batch at which a partition stands still, because it cannot be read.

        Its events are not delivered by this. The invalid topic gets its position, size, SHA-256 and bytes. No
        worker may be running; one that is started afterwards goes on behind the batch.
        """
        topic, number = _partition(place)
        settings = load(context)
        skipper = open_skipper(settings)
        obstacle = run(skipper.find(topic, number))
        if obstacle is None:
            fail(f"Everything in {printable(place)} that is not done yet can be read.", ExitCode.CHECK_FAILED)
        if next_offset is not None:
            if not obstacle.batch.offset < next_offset <= obstacle.end:
                raise click.BadParameter(
                    f"{next_offset} is not behind {obstacle.batch.offset}, where reading stops, and at most "
                    f"{obstacle.end}, where the partition ends",
                    param_hint="--to",
                )
            obstacle = dataclasses.replace(obstacle, next_offset=next_offset)
        facts = _facts(place, obstacle)
        if not as_json:
            click.echo(
                f"{printable(place)}: offsets {facts['offset']} to {facts['next_offset'] - 1} cannot be read"
            )
            click.echo(f"  {facts['bytes']} bytes, sha256 {facts['sha256']}: {printable(facts['problem'])}")
        refusal = _refusal(run(skipper.members()), obstacle.undone, settings.topics.consumer_group)
        is_done = refusal is None and not dry_run
        if is_done:
            question = "Give these records up, and go on behind them?"
            require_consent(question, yes=yes, is_terminal=is_terminal)
            run(skipper.skip(obstacle))
        if as_json:
            print_json(facts | {"skipped": is_done, "refusal": refusal})
        if refusal is not None:
            fail(printable(refusal), ExitCode.CHECK_FAILED)
        if not as_json:
            click.echo("skipped" if is_done else "nothing was skipped (--dry-run)")

    return skip


def _partition(place: str) -> tuple[str, int]:
    topic, slash, number = place.rpartition("/")
    if not slash or not topic or not (number.isascii() and number.isdigit()):
        raise click.BadParameter(
            f"{place!r} is not a partition like TRANSACTION/0", param_hint="TOPIC/PARTITION"
        )
    return topic, int(number)


def _facts(place: str, obstacle: Any) -> dict[str, Any]:
    batch = obstacle.batch
    return {
        "partition": place,
        "offset": batch.offset,
        "next_offset": obstacle.next_offset,
        "bytes": len(batch.raw),
        "sha256": hashlib.sha256(batch.raw).hexdigest(),
        "problem": batch.problem,
        "undone_before": obstacle.undone,
    }


def _refusal(members: int | None, undone: int, group: str) -> str | None:
    if undone:
        return (
            f"{undone} record{'s'[: undone != 1]} before the batch are not done yet, and would be left out: "
            "let the workers do them first."
        )
    if members is None:
        return f"Kafka does not say whether a worker is in group {group}: stop all of them."
    if members:
        return f"{members} worker{'s'[: members != 1]} in group {group}: stop all of them first."
    return None


def _kafka(settings: Settings) -> Skipper:
    """The real thing; its clients take a while to import."""
    from eventproc.delivery.offset_skipper import OffsetSkipper  # noqa: PLC0415 - `--help` stays quick

    quieten(settings)
    return OffsetSkipper(settings)


skip = skip_command(_kafka)
