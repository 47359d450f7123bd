from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from eventproc.cli.offsets import offsets_commands
from eventproc.errors import BrokerUnavailableError
from eventproc.offset_plan import GroupShare, ImportPlan, NoGroupError

ENV = {
    "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
    "CALLBACK_API_BASE_URL": "http://business.example.com",
}
PLAN = ImportPlan({0: 5, 1: 2}, {}, [GroupShare("group-callback-api", 3, 0)], 0)
OWN = ImportPlan({0: 5}, {0: 1}, PLAN.groups, 0)


@dataclass
class FakeImporter:
    found: ImportPlan = PLAN
    workers: int | None = 0
    problem: Exception | None = None
    asked: list[Sequence[str]] = field(default_factory=list)
    written: list[ImportPlan] = field(default_factory=list)

    async def members(self) -> int | None:
        return self.workers

    async def plan(self, from_groups: Sequence[str]) -> ImportPlan:
        self.asked.append(from_groups)
        if self.problem is not None:
            raise self.problem
        return self.found

    async def write(self, plan: ImportPlan) -> None:
        self.written.append(plan)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    importer: FakeImporter, *arguments: str, answer: str | None = None, env: dict[str, str] | None = None
) -> Result:
    command = offsets_commands(lambda _settings: importer, lambda: answer is not None)
    context = CliContext(environment=ENV | (env or {}))
    return CliRunner().invoke(
        command, ["import", *arguments], obj=context, input=answer, catch_exceptions=False
    )


def test_the_command_is_part_of_the_command_line() -> None:
    assert CliRunner().invoke(main, ["offsets", "import", "--help"]).exit_code == 0


def test_it_shows_where_it_begins_and_what_comes_twice_and_sets_it() -> None:
    importer = FakeImporter()
    result = run(importer, "--from-group", "a", "--from-group", "b", "--yes")

    assert result.exit_code == 0, result.output
    assert importer.asked == [("a", "b")]
    assert importer.written == [PLAN]
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "group-callback-api 0 3" in lines
    assert "TRANSACTION/0: group eventproc begins at 5" in lines
    assert lines[-1] == "set"


def test_a_dry_run_sets_nothing() -> None:
    importer = FakeImporter()
    assert run(importer, "--dry-run").exit_code == 0
    assert importer.written == []


@pytest.mark.parametrize(("answer", "count"), [("y\n", 1), ("n\n", 0)])
def test_a_person_is_asked(answer: str, count: int) -> None:
    importer = FakeImporter()
    run(importer, answer=answer)
    assert len(importer.written) == count


@pytest.mark.parametrize(
    ("importer", "why"),
    [
        (FakeImporter(workers=2), "2 workers in group eventproc"),
        (FakeImporter(workers=None), "does not say"),
        (FakeImporter(OWN), "--overwrite"),
        (
            FakeImporter(problem=NoGroupError("No group of the Anchor Platform for client a\x1b[2J")),
            "for client a",
        ),
    ],
)
def test_what_would_do_harm_is_refused_with_1(importer: FakeImporter, why: str) -> None:
    result = run(importer, "--yes")

    assert result.exit_code == 1
    assert why in result.stderr
    assert "\x1b" not in result.output
    assert importer.written == []


def test_no_wish_of_the_operator_sets_offsets_under_running_workers() -> None:
    importer = FakeImporter(OWN, workers=1)
    assert run(importer, "--yes", "--overwrite").exit_code == 1
    assert importer.written == []


def test_offsets_that_are_there_are_overwritten_when_that_is_said() -> None:
    importer = FakeImporter(OWN)
    assert run(importer, "--yes", "--overwrite").exit_code == 0
    assert importer.written == [OWN]


def test_json_says_whether_it_was_set() -> None:
    told = json.loads(run(FakeImporter(), "--json", "--yes").stdout)
    assert told == {
        "topic": "TRANSACTION",
        "group": "eventproc",
        "starts": {"0": 5, "1": 2},
        "was": {},
        "from": [{"group": "group-callback-api", "members": 0, "comes_twice": 3}],
        "expired": 0,
        "set": True,
        "refusal": None,
    }
    refused = run(FakeImporter(workers=1), "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["set"] is False
    assert "1 worker in" in json.loads(refused.stdout)["refusal"]


def test_what_may_surprise_is_told() -> None:
    plan = ImportPlan({0: 5}, {}, [GroupShare("group-callback-api", 0, 1)], 7)
    text = run(FakeImporter(plan)).stderr

    assert "still in use" in text
    assert "7 records" in text


def test_a_shadow_s_group_is_set_and_not_that_of_those_that_deliver() -> None:
    result = run(FakeImporter(), env={"DELIVERY_MODE": "shadow"})
    assert "group eventproc-shadow begins at 5" in result.stdout


def test_an_absent_broker_ends_with_3() -> None:
    assert run(FakeImporter(problem=BrokerUnavailableError("no answer"))).exit_code == 3
