from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.breaker import BreakerState
from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from eventproc.cli.timeline import timeline_command
from eventproc.errors import BrokerUnavailableError
from eventproc.journal_entries import Attempt, DeadLettered, Entry, Invalid, Routed
from eventproc.pauses import Pause
from eventproc.records import Source
from eventproc.timeline import Reading, Timeline, fold, held_up
from settings import Settings

ENV = {
    "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
    "CALLBACK_API_BASE_URL": "http://business.example.com",
    "CALLBACK_API_AUTH_TYPE": "none",
}
NOW = 1_795_621_872.0  # 2026-11-25T15:51:12Z
SOURCE = Source("TRANSACTION", 0, 7, int(NOW - 60) * 1000)
ROUTED = Routed(
    *("t", "e1", SOURCE, NOW - 59, "transaction_status_changed", "24", "name"),
    *(("callback-api", "client.a.sep24"), (), None),
)
DELIVERED = Attempt(
    *("t", "e1", SOURCE, NOW - 58, "callback-api", 1, 0.0123, "delivered"), *(None, 200, None, None, None)
)
FAILED = Attempt(
    *("t", "e1", SOURCE, NOW - 58, "client.a.sep24", 3, 5.0, "failed"),
    *("timeout", None, "no answer \x1b[2J in 30 s", NOW + 8.5, "2026-11-25T15:00:00Z"),
)


@dataclass
class FakeRead:
    entries: list[Entry] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    is_away: bool = False
    holds: dict[str, Pause | BreakerState] = field(default_factory=dict)
    asked: list[tuple[str, float, float]] = field(default_factory=list)

    async def __call__(
        self, settings: Settings, lane_key: str, since_seconds: float, within_seconds: float
    ) -> Timeline:
        self.asked.append((lane_key, round(since_seconds), within_seconds))
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: no answer in time")
        found = fold(lane_key, self.entries, NOW, Reading(NOW - since_seconds, problems=self.problems))
        return held_up(found, self.holds)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(read: FakeRead, *arguments: str) -> Result:
    context = CliContext(environment=ENV)
    command = timeline_command(lambda _settings: read)
    return CliRunner().invoke(command, arguments, obj=context, catch_exceptions=False)


def test_the_command_is_part_of_the_command_line() -> None:
    assert CliRunner().invoke(main, ["timeline", "--help"]).exit_code == 0


def test_it_shows_where_an_event_went_every_attempt_and_when_the_next_is() -> None:
    result = run(FakeRead([ROUTED, DELIVERED, FAILED]), "t")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "event e1 · transaction_status_changed · SEP 24 · published 2026-11-25T15:50:12.000Z · TRANSACTION/0/7"
        " · client by name"
    )
    assert " ".join(lines[2].split()) == "callback-api delivered 11-25 15:50:14 1 delivered HTTP 200 12 ms -"
    assert " ".join(lines[3].split()) == (
        "client.a.sep24 waiting until 11-25 15:51:20 11-25 15:50:14 3 failed, redriven "
        "timeout: no answer \\x1b[2J in 30 s 5000 ms 11-25 15:51:20"
    )
    assert "earlier attempts of event e1" in result.stderr


def test_it_says_what_is_behind_what_and_what_was_set_aside() -> None:
    later = ROUTED._replace(event_id="e2", source=SOURCE._replace(offset=8, timestamp_ms=SOURCE[3] + 1))
    letter = DeadLettered("t", "e1", SOURCE, NOW - 1, "callback-api", "rejected", "HTTP 422", 10, 422)
    text = run(FakeRead([ROUTED, later, FAILED, letter]), "t").stdout

    assert "behind event e1" in text
    assert "dead-lettered 11-25 15:51:11, rejected" in text
    assert "under way" in text


def test_what_waits_for_a_pause_or_a_breaker_says_so() -> None:
    read = FakeRead([ROUTED, FAILED._replace(next_try_at=NOW - 1)])
    read.holds = {
        "callback-api": Pause("ann", "moves\x1b[2J", "2026-11-24T10:00:00Z"),
        "client.a.sep24": BreakerState.HALF_OPEN,
    }
    text = run(read, "t").stdout

    assert "waits; paused by ann since 2026-11-24T10:00:00Z: moves\\x1b[2J" in text
    assert "next try is due; breaker half-open" in text
    assert "under way" not in text


def test_an_unreadable_record_is_found_by_its_key_with_its_reason() -> None:
    text = run(FakeRead([Invalid("e9", "e9", SOURCE, NOW, "no-type", "no type")]), "e9").stdout

    assert "in the invalid topic: no-type: no type" in text


def test_as_json_it_is_one_object_with_the_same() -> None:
    result = run(FakeRead([ROUTED, DELIVERED], ("only half was read",)), "t", "--json")

    found = json.loads(result.stdout)
    assert found["transaction"] == "t"
    assert found["unknown"] == ["only half was read"]
    (event,) = found["events"]
    assert event["source"] == {"topic": "TRANSACTION", "partition": 0, "offset": 7}
    assert event["destinations"][0]["attempts"] == [
        {
            "at": "2026-11-25T15:50:14.000Z",
            "number": 1,
            "seconds": 0.0123,
            "outcome": "delivered",
            "kind": None,
            "status": 200,
            "detail": None,
            "redriven": None,
            "worker": "",
            "next_try_at": None,
        }
    ]


def test_of_what_nothing_is_known_it_says_so_and_ends_with_1() -> None:
    result = run(FakeRead(problems=("there is no topic yet",)), "t")

    assert result.exit_code == 1
    assert result.stdout.startswith("Nothing is known of t since ")
    assert result.stderr == "note: there is no topic yet\n"


def test_it_ends_with_3_when_kafka_is_away() -> None:
    assert run(FakeRead(is_away=True), "t").exit_code == 3


def test_how_far_back_and_how_long_can_be_said() -> None:
    read = FakeRead([ROUTED])
    run(read, "t")
    run(read, "t", "--since", "3d", "--within", "5")

    assert read.asked == [("t", 86_400, 60.0), ("t", 3 * 86_400, 5.0)]


@pytest.mark.parametrize("arguments", [["t", "--since", "soon"], ["t", "--within", "0"], []])
def test_what_cannot_be_is_a_mistake_in_usage(arguments: list[str]) -> None:
    assert run(FakeRead(), *arguments).exit_code == 2
