"""Every command that writes has the operator's consent first: at a terminal, or by ``--yes``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner, Result

import eventproc.cli
from eventproc.cli.consent import WritingCommand
from eventproc.cli.context import CliContext
from eventproc.cli.deadletter import deadletter_commands
from eventproc.cli.destinations import destination_commands
from eventproc.cli.main import main
from eventproc.cli.offsets import offsets_commands
from eventproc.cli.offsets_skip import skip_command
from eventproc.cli.replay import replay_command
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause
from tests.unit.cli.test_deadletter import ENV, A, FakeTopic
from tests.unit.cli.test_destinations import FakeCluster
from tests.unit.cli.test_offsets import FakeImporter
from tests.unit.cli.test_offsets_skip import FakeObstacle, FakeSkipper
from tests.unit.cli.test_replay import FakeSource

READING = {
    "config check",
    "config show",
    "deadletter list",
    "deadletter show",
    "destinations status",
    "doctor",
    "invalid list",
    "invalid show",
    "listen",
    "plan",
    "shadow diff",
    "shadow export",
    "timeline",
    "verify",
    "worker",
}
"""Commands that change nothing; ``worker`` is a service, and ``listen`` a receiver."""

BUSINESS = DestinationId("callback-api")


class Trial(NamedTuple):
    """A command over fakes, what it is called with, and what it has written."""

    command: click.Command
    arguments: list[str]
    written: Callable[[], list[Any]]


def _redrive() -> Trial:
    topic = FakeTopic([A])
    return Trial(deadletter_commands(lambda _: topic), ["redrive", "--all"], lambda: list(topic.sent))


def _pause() -> Trial:
    cluster = FakeCluster()
    arguments = ["pause", "callback-api", "--reason", "r"]
    return Trial(destination_commands(lambda _: cluster), arguments, lambda: list(cluster.told))


def _resume() -> Trial:
    cluster = FakeCluster({BUSINESS: Pause("ann", "2026-11-24T10:00:00Z", "r")})
    return Trial(
        destination_commands(lambda _: cluster), ["resume", "callback-api"], lambda: list(cluster.told)
    )


def _import() -> Trial:
    importer = FakeImporter()
    return Trial(offsets_commands(lambda _: importer), ["import"], lambda: list(importer.written))


def _replay() -> Trial:
    source = FakeSource()
    return Trial(replay_command(lambda _: source), ["--since", "2h"], lambda: list(source.sent))


def _example(to: str) -> Callable[[], Trial]:
    # There is neither a broker nor an endpoint: to try it would be another exit code.
    return lambda: Trial(main, ["send-example", "--to", to], list)


def _skip() -> Trial:
    skipper = FakeSkipper(FakeObstacle())
    return Trial(skip_command(lambda _: skipper), ["TRANSACTION/0"], lambda: list(skipper.skipped))


WRITING: dict[str, list[Callable[[], Trial]]] = {
    "deadletter redrive": [_redrive],
    "destinations pause": [_pause],
    "destinations resume": [_resume],
    "offsets import": [_import],
    "offsets skip": [_skip],
    "replay": [_replay],
    "send-example": [_example("topic"), _example("endpoint")],
}

trials = pytest.mark.parametrize(
    "make", [make for row in WRITING.values() for make in row], ids=lambda make: make.__qualname__
)


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from leaves(one, (*path, name))
    else:
        yield " ".join(path), command


def run(trial: Trial, *more: str, typed: str = "") -> Result:
    arguments = [*trial.arguments, *more]
    context = CliContext(environment=ENV)
    return CliRunner().invoke(trial.command, arguments, obj=context, input=typed, catch_exceptions=False)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_command_is_on_one_of_the_two_lists() -> None:
    commands = dict(leaves(main))
    assert set(commands) == READING | set(WRITING), "a new command that writes needs a row in WRITING"
    for name, command in commands.items():
        assert isinstance(command, WritingCommand) == (name in WRITING), name
        assert ("--yes" in [option for one in command.params for option in one.opts]) == (name in WRITING)


@trials
@pytest.mark.parametrize("typed", ["", "n\n", "y\n", "\n"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_without_a_terminal_and_yes_nothing_is_written(
    make: Callable[[], Trial], typed: str, more: list[str]
) -> None:
    trial = make()
    result = run(trial, *more, typed=typed)

    assert (result.exit_code, trial.written()) == (1, [])
    assert "no terminal to ask at, so nothing was done. Give --yes." in result.stderr


@pytest.mark.parametrize("make", [_redrive, _pause, _resume, _import, _replay])
def test_with_yes_it_is_written(make: Callable[[], Trial]) -> None:
    trial = make()
    assert run(trial, "--yes").exit_code == 0
    assert trial.written() != []


# --- a module of the command line that can write, and does not ask -----------------------------------

WRITERS = {"producer_client", "RecordProducer", "HttpSender", "create_topics", "commit"}
"""Names in a function or class of ``eventproc.delivery`` that make it one that writes."""


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("eventproc.delivery."):
            yield from ((str(node.module), alias.name) for alias in node.names)


def writes(module: str, name: str) -> bool:
    thing = getattr(import_module(module), name)
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return False
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return bool(WRITERS & (used | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}))


def test_a_module_that_imports_what_writes_asks_for_consent() -> None:
    writing = set()
    for path in Path(eventproc.cli.__path__[0]).glob("*.py"):
        tree = ast.parse(path.read_text())
        if any(writes(*one) for one in imported(tree)):
            writing.add(path.stem)
            calls = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert "require_consent" in calls, path.stem
    assert writing == {"deadletter", "destinations", "offsets", "offsets_skip", "replay", "send_example"}
