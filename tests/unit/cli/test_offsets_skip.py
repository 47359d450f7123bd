"""``eventproc offsets skip``: what it shows, what it refuses, and what it asks for first."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.offsets_skip import skip_command
from tests.unit.cli.test_deadletter import ENV


@dataclass
class FakeBatch:
    offset: int = 5
    raw: bytes = b"torn"
    problem: str = "its checksum is wrong"


@dataclass
class FakeObstacle:
    undone: int = 0
    next_offset: int = 8
    end: int = 20
    batch: FakeBatch = field(default_factory=FakeBatch)


class FakeSkipper:
    """A partition with a batch that cannot be read, or without one."""

    def __init__(self, obstacle: FakeObstacle | None, members: int | None = 0) -> None:
        self.obstacle = obstacle
        self.is_of_group = members
        self.asked: list[tuple[str, int]] = []
        self.skipped: list[Any] = []

    async def members(self) -> int | None:
        return self.is_of_group

    async def find(self, topic: str, number: int) -> Any:
        self.asked.append((topic, number))
        return self.obstacle

    async def skip(self, obstacle: Any) -> None:
        self.skipped.append(obstacle)


def run(skipper: FakeSkipper, *arguments: str, typed: str = "", is_terminal: bool = False) -> Result:
    command = skip_command(lambda _: skipper, lambda: is_terminal)
    context = CliContext(environment=ENV)
    return CliRunner().invoke(command, [*arguments], obj=context, input=typed, catch_exceptions=False)


def test_the_batch_is_shown_and_skipped_with_consent() -> None:
    skipper = FakeSkipper(FakeObstacle())

    done = run(skipper, "eventproc.callback-api/3", typed="y\n", is_terminal=True)

    assert done.exit_code == 0
    assert skipper.asked == [("eventproc.callback-api", 3)]
    assert skipper.skipped == [skipper.obstacle]
    assert "offsets 5 to 7 cannot be read" in done.output
    assert "its checksum is wrong" in done.output


def test_a_dry_run_and_a_no_skip_nothing() -> None:
    skipper = FakeSkipper(FakeObstacle())

    assert run(skipper, "TRANSACTION/0", "--dry-run").exit_code == 0
    assert run(skipper, "TRANSACTION/0", typed="n\n", is_terminal=True).exit_code == 1
    assert skipper.skipped == []


@pytest.mark.parametrize(
    ("obstacle", "members", "words"),
    [
        (None, 0, "can be read"),
        (FakeObstacle(undone=2), 0, "2 records before the batch are not done yet"),
        (FakeObstacle(undone=1), 0, "1 record before the batch"),
        (FakeObstacle(), 1, "1 worker in group"),
        (FakeObstacle(), None, "does not say whether a worker is in group"),
    ],
)
def test_what_would_lose_records_or_change_nothing_is_refused(
    obstacle: FakeObstacle | None, members: int | None, words: str
) -> None:
    skipper = FakeSkipper(obstacle, members)

    refused = run(skipper, "TRANSACTION/0", "--yes")

    assert refused.exit_code == 1
    assert words in refused.output
    assert skipper.skipped == []


def test_json_has_the_facts_and_what_was_done() -> None:
    skipper = FakeSkipper(FakeObstacle())

    shown = json.loads(run(skipper, "TRANSACTION/0", "--json", "--yes").output)

    assert (shown["offset"], shown["next_offset"], shown["bytes"]) == (5, 8, 4)
    assert (shown["skipped"], shown["refusal"]) == (True, None)


@pytest.mark.parametrize("place", ["TRANSACTION", "TRANSACTION/", "/0", "TRANSACTION/-1", "TRANSACTION/x"])
def test_a_place_that_is_none_is_a_wrong_call(place: str) -> None:
    skipper = FakeSkipper(FakeObstacle())

    assert run(skipper, place, "--yes").exit_code == 2
    assert skipper.asked == []


@pytest.mark.parametrize(("offset", "is_taken"), [(5, False), (6, True), (20, True), (21, False)])
def test_reading_goes_on_where_the_operator_says_if_that_is_behind_the_batch(
    offset: int, is_taken: bool
) -> None:
    skipper = FakeSkipper(FakeObstacle())
    done = run(skipper, "t/0", "--yes", "--to", str(offset))
    assert done.exit_code == (0 if is_taken else 2)
    assert [one.next_offset for one in skipper.skipped] == ([offset] if is_taken else [])
