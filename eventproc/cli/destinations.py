"""``eventproc destinations``: how they stand, pause, resume; from Kafka, so for all workers."""

from __future__ import annotations

import contextlib
import getpass
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from eventproc.cli.consent import WritingCommand, require_consent, stdin_is_terminal
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import fact, printable
from eventproc.cli.kafka_command import load, plain_console, print_json, quieten, run
from eventproc.destination_patterns import UnknownNameError, choose
from eventproc.destinations import build_destinations
from eventproc.group_progress import ClusterStatus, DestinationStatus, LeftBehind, Member
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause
from eventproc.times import from_ms, iso, span
from settings import Settings

WATCH_SECONDS: Final = 2.0

EPILOG: Final = """\b
Exit codes:
  0  done
  1  there is no terminal to ask at and no --yes, or the answer was no
  2  wrong configuration or usage, or a destination that does not exist
  3  Kafka did not answer"""

_names = click.argument("patterns", metavar="ID|GLOB...", nargs=-1, required=True)
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


class Cluster(Protocol):
    """All workers, as the commands see them: through Kafka."""

    async def status(self, topics: Mapping[DestinationId, str], workers: Sequence[str] = ()) -> ClusterStatus:
        """How these destinations stand; their breakers are asked of ``workers``, else of the group's."""
        ...

    async def paused(self) -> Mapping[DestinationId, Pause]:
        """What is paused, also what is not in the configuration any more."""
        ...

    async def set_paused(self, ids: Collection[DestinationId], paused: bool, by: str, reason: str) -> None:
        """Pause or resume these."""
        ...


def destination_commands(
    open_cluster: Callable[[Settings], Cluster],
    wait: Callable[[float], None] = time.sleep,
    is_terminal: Callable[[], bool] = stdin_is_terminal,
) -> click.Group:
    """The command group; what it works on, and how ``--watch`` waits, is given: tests bring their own."""

    @click.group(epilog=EPILOG)
    def destinations() -> None:
        """Show how the destinations stand; pause and resume them on all workers."""

    @destinations.command(epilog=EPILOG)
    @click.argument("patterns", metavar="[ID|GLOB]...", nargs=-1)
    @click.option("--json", "as_json", is_flag=True, help="A JSON object; with --watch one line each time.")
    @click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
    @click.option(
        "--worker",
        "workers",
        multiple=True,
        metavar="URL",
        help="Whom to ask for breakers, like http://10.0.0.3:8088; may be repeated. Default: the group's.",
    )
    @click.pass_obj
    def status(
        context: CliContext,
        *,
        patterns: tuple[str, ...],
        as_json: bool,
        watch: bool,
        workers: tuple[str, ...],
    ) -> None:
        """Show state, lag, age of the oldest undelivered event, pauses and dead letters, and the workers.

        A destination is named by its id, by what it is below (client.acme) or by a glob (client.*.sep24).
        All of it is Kafka's, but the state of a breaker: that the workers' pages tell.
        """
        _check_urls(workers)
        settings = load(context)
        topics = {id_: one.topic for id_, one in build_destinations(settings).items()}
        chosen = {id_: topics[id_] for id_ in _choose(patterns, topics)}
        cluster = open_cluster(settings)
        if not watch:
            _print_status(run(cluster.status(chosen, workers)), as_json=as_json)
            return
        with contextlib.suppress(KeyboardInterrupt):  # the way out, and no failure
            _watch(lambda: run(cluster.status(chosen, workers)), wait, as_json=as_json)

    @destinations.command(cls=WritingCommand, epilog=EPILOG)
    @_names
    @click.option("--reason", required=True, help="Why; shown to whoever asks.")
    @click.option("--by", help="Who; default: you, on this machine.")
    @_as_json
    @click.pass_obj
    def pause(
        context: CliContext,
        *,
        patterns: tuple[str, ...],
        reason: str,
        by: str | None,
        yes: bool,
        as_json: bool,
    ) -> None:
        """Start no more deliveries there, on any worker, until `resume`.

        Requests in flight end as they do. Events wait in their topic and nothing is lost, restarts included.
        """
        if not reason.strip():
            raise click.UsageError("--reason is empty: say why, for whoever finds it paused.")
        settings = load(context)
        cluster = open_cluster(settings)
        chosen = _choose(patterns, list(build_destinations(settings)))
        before = run(cluster.paused())
        require_consent(f"Pause {_named(chosen)}?", yes=yes, is_terminal=is_terminal)
        run(cluster.set_paused(chosen, True, by or _whoami(), reason))
        if as_json:
            print_json({"paused": chosen, "by": by or _whoami(), "reason": reason})
            return
        for id_ in chosen:
            was = f" (was paused {_because(before[id_])})" if id_ in before else ""
            click.echo(f"paused {printable(id_)}{was}")

    @destinations.command(cls=WritingCommand, epilog=EPILOG)
    @_names
    @_as_json
    @click.pass_obj
    def resume(context: CliContext, *, patterns: tuple[str, ...], yes: bool, as_json: bool) -> None:
        """End a pause: what waits is delivered, oldest first."""
        settings = load(context)
        cluster = open_cluster(settings)
        before = run(cluster.paused())
        chosen = _choose(patterns, list(dict.fromkeys([*build_destinations(settings), *before])))
        ends = [id_ for id_ in chosen if id_ in before]
        if ends:
            require_consent(f"Resume {_named(ends)}?", yes=yes, is_terminal=is_terminal)
            run(cluster.set_paused(ends, False, _whoami(), ""))
        if as_json:
            print_json({"resumed": ends, "not_paused": [id_ for id_ in chosen if id_ not in before]})
            return
        for id_ in chosen:
            told = f"resumed {id_} (was paused {_because(before[id_])})" if id_ in before else ""
            click.echo(printable(told or f"{id_} was not paused"))

    return destinations


def _check_urls(workers: Sequence[str]) -> None:
    for one in workers:
        try:
            parts = urlsplit(one)
            is_right = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
        except ValueError:
            is_right = False
        if not is_right:
            raise click.UsageError(f"--worker {printable(one)} is no URL like http://10.0.0.3:8088.")


def _choose(patterns: Collection[str], known: Collection[DestinationId]) -> list[DestinationId]:
    try:
        return choose(patterns, known)
    except UnknownNameError as error:
        fail(printable(str(error)), ExitCode.USAGE)


def _named(chosen: Sequence[DestinationId]) -> str:
    more = f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    return printable(", ".join(chosen[:5])) + more


def _watch(look: Callable[[], ClusterStatus], wait: Callable[[float], None], *, as_json: bool) -> None:
    if as_json:
        while True:
            print_json(_status_object(look(), time.time()), indent=None)
            wait(WATCH_SECONDS)
    with Live(console=plain_console(), auto_refresh=False) as live:
        while True:
            live.update(_status_text(look(), time.time()), refresh=True)
            wait(WATCH_SECONDS)


def _print_status(status: ClusterStatus, *, as_json: bool) -> None:
    now = time.time()
    if as_json:
        print_json(_status_object(status, now))
    else:
        plain_console().print(_status_text(status, now))


def _status_object(status: ClusterStatus, now: float) -> dict[str, Any]:
    return {
        "group": status.group,
        "members": _objects(status.members),
        "source_lag": status.source_lag,
        "workers_asked": [asdict(one) for one in status.asked],
        "destinations": [_destination_object(one, now) for one in status.destinations],
        "not_configured": _objects(status.left_behind),
    }


def _objects(found: Sequence[Member] | Sequence[LeftBehind] | None) -> list[dict[str, Any]] | None:
    return None if found is None else [asdict(one) for one in found]


def _destination_object(one: DestinationStatus, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "topic": one.topic,
        "partitions": one.partitions,
        "lag": one.lag,
        "oldest_undelivered_at": None if one.oldest_ms is None else iso(from_ms(one.oldest_ms)),
        "oldest_undelivered_seconds": _age_seconds(one, now),
        "paused": None if one.pause is None else asdict(one.pause),
        "dead_letters": one.dead_letters,
    }


def _status_text(status: ClusterStatus, now: float) -> Group:
    table = Table(box=None, pad_edge=False)
    for title in ("DESTINATION", "STATE", "LAG", "OLDEST", "DEAD LETTERS", "PAUSED"):
        right = title in {"LAG", "OLDEST", "DEAD LETTERS"}
        table.add_column(title, overflow="fold", justify="right" if right else "left")
    for one in status.destinations:
        age = _age_seconds(one, now)
        table.add_row(
            printable(one.id),
            (one.state or "not known").replace("_", "-"),
            str(one.lag) if one.partitions else "no topic yet",
            "-" if age is None else span(age),
            "many" if one.dead_letters is None else str(one.dead_letters),
            "-" if one.pause is None else _because(one.pause),
        )
    silent = [
        Text(printable(f"breakers of the worker at {one.url} are not known: {one.problem}; see --worker"))
        for one in status.asked
        if one.problem is not None
    ]
    left = [Text(printable(line)) for line in _left_behind_lines(status.left_behind)]
    return Group(table, Text(_group_line(status)), *silent, *left)


def _left_behind_lines(left: Sequence[LeftBehind] | None) -> list[str]:
    if left is None:
        return [
            "whether events wait for destinations that are not configured is not known: Kafka did not tell"
        ]
    where = 'see "What goes" in docs/operations.md'
    return [f"topic {one.topic} is of no destination that is configured here: {one}; {where}" for one in left]


def _group_line(status: ClusterStatus) -> str:
    members = status.members
    if members is None:
        workers = "the broker does not tell its workers"
    else:
        hosts = ", ".join(sorted({printable(member.host) for member in members}))
        workers = f"{len(members)} worker{'s'[: len(members) != 1]}" + (f" on {hosts}" if hosts else "")
    return f"group {printable(status.group)}: {workers}; {status.source_lag} events not routed yet"


def _age_seconds(one: DestinationStatus, now: float) -> float | None:
    return None if one.oldest_ms is None else round(max(0.0, now - one.oldest_ms / 1000), 3)


def _because(pause: Pause) -> str:
    return f"by {fact(pause.by)} since {fact(pause.at)}: {fact(pause.reason)}"


def _whoami() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return f"somebody@{socket.gethostname()}"


class _Kafka:
    """The real thing; its clients take a while to import: `eventproc --help` stays quick."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        quieten(settings)

    async def status(self, topics: Mapping[DestinationId, str], workers: Sequence[str] = ()) -> ClusterStatus:
        """As ``Cluster``."""
        from eventproc.delivery.cluster_status import read_status  # noqa: PLC0415
        from eventproc.delivery.left_behind import find_left_behind  # noqa: PLC0415
        from eventproc.delivery.worker_pages import with_breakers  # noqa: PLC0415

        found = await read_status(self._settings, topics)
        configured = {one.topic for one in build_destinations(self._settings).values()}
        left_behind = await find_left_behind(self._settings, configured)
        return replace(await with_breakers(self._settings, found, workers), left_behind=left_behind)

    async def paused(self) -> Mapping[DestinationId, Pause]:
        """As ``Cluster``."""
        from eventproc.delivery.control import read_paused  # noqa: PLC0415

        return await read_paused(self._settings)

    async def set_paused(self, ids: Collection[DestinationId], paused: bool, by: str, reason: str) -> None:
        """As ``Cluster``."""
        from eventproc.delivery.control import set_paused  # noqa: PLC0415

        await set_paused(self._settings, ids, paused, by, reason)


destinations = destination_commands(_Kafka)
