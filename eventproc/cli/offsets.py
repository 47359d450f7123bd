"""``eventproc offsets``: begin in the anchor's topic where another consumer stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import click
from rich.table import Table

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import fact, printable
from eventproc.cli.kafka_command import load, plain_console, print_json, quieten, run
from eventproc.cli.offsets_skip import skip
from eventproc.offset_plan import ImportPlan, NoGroupError
from settings import Settings

EPILOG: Final = """\b
Exit codes:
  0  done; or, with --dry-run, shown
  1  refused: a worker is in our group, it has offsets already, a group to take over from is not there, or
     there is no terminal to ask at and no --yes
  2  wrong configuration or usage
  3  Kafka did not answer"""


class Importer(Protocol):
    """Kafka as the command sees it; ``OffsetImporter``."""

    async def members(self) -> int | None:
        """How many workers are in our group; None when that is not told."""

    async def plan(self, from_groups: Sequence[str]) -> ImportPlan:
        """What to do. Raises NoGroupError."""

    async def write(self, plan: ImportPlan) -> None:
        """Do it."""


def offsets_commands(
    open_importer: Callable[[Settings], Importer], is_terminal: Callable[[], bool] = stdin_is_terminal
) -> click.Group:
    """The group; what it works on is given, for tests bring their own."""

    @click.group()
    def offsets() -> None:
        """Set where workers go on to read: behind another consumer, or behind what cannot be read."""

    @offsets.command("import", cls=WritingCommand, epilog=EPILOG)
    @click.option(
        "--from-group",
        "from_groups",
        multiple=True,
        metavar="NAME",
        help="Take over from this consumer group; may be repeated. Default: the Anchor Platform's, "
        "one for each receiver that is configured.",
    )
    @click.option("--overwrite", is_flag=True, help="Also when our group has offsets already.")
    @click.option("--dry-run", is_flag=True, help="Show what would be set, and set nothing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object with what was done.")
    @click.pass_obj
    def import_(  # noqa: PLR0917 - click passes them by name
        context: CliContext,
        from_groups: tuple[str, ...],
        overwrite: bool,
        dry_run: bool,
        yes: bool,
        as_json: bool,
    ) -> None:
        """Begin where the consumer that is furthest behind has come to, so that no event is left out.

        Stop the Anchor Platform's event processor first: what it delivers afterwards comes twice. No worker
        may be running. With delivery.mode: shadow this is about the shadow's group.
        """
        settings = load(context)
        importer = open_importer(settings)
        plan = _plan(importer, from_groups)
        if not as_json:
            _show(plan, settings)
        refusal = _refusal(run(importer.members()), plan, settings.topics.consumer_group, overwrite=overwrite)
        if not dry_run and refusal is None:
            require_consent("Set these offsets?", yes=yes, is_terminal=is_terminal)
            run(importer.write(plan))
        is_set = not dry_run and refusal is None
        if as_json:
            print_json(_as_object(plan, settings, is_set=is_set, refusal=refusal))
        if refusal is not None:
            fail(printable(refusal), ExitCode.CHECK_FAILED)
        if not as_json:
            click.echo("set" if is_set else "nothing was set (--dry-run)")

    return offsets


def _plan(importer: Importer, from_groups: Sequence[str]) -> ImportPlan:
    try:
        return run(importer.plan(from_groups))
    except NoGroupError as error:
        fail(printable(str(error)), ExitCode.CHECK_FAILED)


def _refusal(members: int | None, plan: ImportPlan, group: str, *, overwrite: bool) -> str | None:
    if members is None:
        return f"Kafka does not say whether a worker is in group {group}: stop all of them."
    if members:
        return f"{members} worker{'s'[: members != 1]} in group {group}: stop all of them first."
    if plan.own and not overwrite:
        return (
            f"Group {group} has offsets already: to set them back sends again, to set them on leaves out. "
            "Use --overwrite if that is meant."
        )
    return None


def _show(plan: ImportPlan, settings: Settings) -> None:
    topic = settings.topics.source
    table = Table(box=None, pad_edge=False)
    for title in ("TAKE OVER FROM", "MEMBERS", "COMES TWICE"):
        table.add_column(title, overflow="fold", justify="left" if title == "TAKE OVER FROM" else "right")
    for group in plan.groups:
        members = "not told" if group.members is None else str(group.members)
        table.add_row(fact(group.name), members, str(group.twice))
    plain_console().print(table)
    for partition, start in sorted(plan.starts.items()):
        own = f", now at {plan.own[partition]}" if partition in plan.own else ""
        click.echo(f"{topic}/{partition}: group {settings.topics.consumer_group} begins at {start}{own}")
    if any(group.members for group in plan.groups):
        click.echo("note: a group above is still in use: what it delivers from now on comes twice", err=True)
    if plan.expired:
        click.echo(
            f"note: {plan.expired} records that nobody delivered have expired in {topic}: they are lost",
            err=True,
        )


def _as_object(
    plan: ImportPlan, settings: Settings, *, is_set: bool, refusal: str | None
) -> dict[str, object]:
    return {
        "topic": settings.topics.source,
        "group": settings.topics.consumer_group,
        "starts": {str(partition): start for partition, start in sorted(plan.starts.items())},
        "was": {str(partition): offset for partition, offset in sorted(plan.own.items())},
        "from": [
            {"group": one.name, "members": one.members, "comes_twice": one.twice} for one in plan.groups
        ],
        "expired": plan.expired,
        "set": is_set,
        "refusal": refusal,
    }


def _kafka(settings: Settings) -> Importer:
    """The real thing; its clients take a while to import."""
    from eventproc.delivery.offset_importer import OffsetImporter  # noqa: PLC0415 - `--help` stays quick

    quieten(settings)
    return OffsetImporter(settings)


offsets = offsets_commands(_kafka)
offsets.add_command(skip)
