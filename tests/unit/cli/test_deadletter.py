from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventproc.cli.context import CliContext
from eventproc.cli.dead_letter_text import pretty, printable
from eventproc.cli.deadletter import deadletter_commands
from eventproc.cli.main import main
from eventproc.dead_letters import LetterId
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId, EventId, LaneKey
from eventproc.letter_fold import TopicPlace
from eventproc.redrive import Entry, LetterEnd, Plan, RefusedLettersError, StalePlanError

ENV = {
    "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
    "CALLBACK_API_BASE_URL": "http://business.example.com",
    "CALLBACK_API_AUTH_TYPE": "none",
}
BUSINESS = DestinationId("callback-api")
A = Entry(
    offset=3,
    key=b"callback-api|a",
    event_id=EventId("a"),
    event_type="transaction_created",
    destination=BUSINESS,
    lane=LaneKey("t1"),
    reason="rejected",
    detail="HTTP 422",
    attempts=10,
    status=422,
    excerpt=b"no such transaction",
    at=datetime(2026, 11, 24, 10, tzinfo=timezone.utc),
    redriven=None,
    value=b'{"id":"a","amount":1.10,"big":123456789012345678901234567890}',
    headers=[("event-id", b"a")],
    id=LetterId(BUSINESS, "TRANSACTION", 0, 17, 1_795_500_000_000),
    ends=(LetterEnd(b"callback-api|a", TopicPlace(0, 3)),),
)
B = replace(A, offset=4, event_id=EventId("b"), reason="held-behind-dead-letter", attempts=0, status=None)
C = replace(A, offset=5, event_id=EventId("c"), lane=LaneKey("t2"))
GONE = replace(A, offset=6, event_id=EventId("g"), destination=DestinationId("client.gone.sep24"))
HOSTILE = "\x1b[2J\x9b31m\u202eevil\r\n[red]:boom:\x7f\ud800"


@dataclass
class FakeTopic:
    entries: list[Entry] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    fails_after: int | None = None
    fails_by: Exception = field(default_factory=lambda: BrokerUnavailableError("Kafka at k:9092: gone"))
    interrupted_after: int | None = None
    is_away: bool = False

    async def read_waiting(self) -> list[Entry]:
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: \x1b[2J no answer in time")
        return self.entries

    async def send(self, plan: Plan, on_progress: Callable[[int], None]) -> None:
        for number, send in enumerate(plan.sends, 1):
            if self.fails_after == len(self.sent):
                raise self.fails_by
            self.sent.append(str(send.entry.event_id))
            if self.interrupted_after == len(self.sent):
                signal.raise_signal(signal.SIGTERM)
            on_progress(number)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(topic: FakeTopic, *arguments: str, answer: str | None = None) -> Result:
    """One command; an ``answer`` makes it believe in a person at a terminal."""
    commands = deadletter_commands(lambda _settings: topic, lambda: answer is not None)
    context = CliContext(environment=ENV)
    return CliRunner().invoke(commands, arguments, obj=context, input=answer, catch_exceptions=False)


def test_the_commands_are_part_of_the_command_line() -> None:
    result = CliRunner().invoke(main, ["deadletter", "--help"])

    assert result.exit_code == 0
    for command in ("list", "redrive", "show"):
        assert f"  {command} " in result.output


def test_list_is_a_table_with_a_line_for_each() -> None:
    result = run(FakeTopic([A, B]), "list")

    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines == [
        ["EVENT", "ID", "SOURCE", "TRANSACTION", "DESTINATION", "REASON", "ATTEMPTS", "STATUS", "AT"],
        ["a", "TRANSACTION/0/17", "t1", "callback-api", "rejected", "10", "422", "2026-11-24T10:00:00.000Z"],
        [
            "b",
            "TRANSACTION/0/17",
            "t1",
            "callback-api",
            "held-behind-dead-letter",
            "0",
            "-",
            "2026-11-24T10:00:00.000Z",
        ],
        ["2", "dead", "letters"],
    ]


def test_list_as_json_has_the_same_for_programs() -> None:
    result = run(FakeTopic([A, B]), "list", "--json")

    assert json.loads(result.stdout)[0] == {
        "event_id": "a",
        "source": "TRANSACTION/0/17",
        "transaction_id": "t1",
        "destination": "callback-api",
        "reason": "rejected",
        "attempts": 10,
        "status": 422,
        "at": "2026-11-24T10:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], ["a", "b", "c", "g"]),
        (["--event-id", "a", "--event-id", "c"], ["a", "c"]),
        (["--transaction-id", "t2"], ["c"]),
        (["--destination", "client.gone"], ["g"]),
        (["--source", "TRANSACTION/0/17", "--event-id", "a"], ["a"]),
        (["--source", "TRANSACTION/0/1"], []),
        (["--since", "2026-11-24T10:00:00Z"], ["a", "b", "c", "g"]),
        (["--since", "2026-11-24T10:00:01"], []),
        (["--until", "2026-11-24"], []),
        (["--status", "422", "--transaction-id", "t1"], ["a", "g"]),
        (["--reason", "held-behind-dead-letter"], ["b"]),
    ],
)
def test_filters_choose(filters: list[str], expected: list[str]) -> None:
    result = run(FakeTopic([A, B, C, GONE]), "list", "--json", *filters)

    assert result.exit_code == 0
    assert [one["event_id"] for one in json.loads(result.stdout)] == expected


def test_an_empty_list_says_so_and_is_no_failure() -> None:
    assert run(FakeTopic(), "list").stdout == "No dead letter waits.\n"
    assert run(FakeTopic([A]), "list", "--status", "400").stdout == "No dead letter matches.\n"
    assert run(FakeTopic(), "list", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments", [["list", "--since", "yesterday"], ["list", "--reason", "bad luck"], ["show"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(FakeTopic([A]), *arguments).exit_code == 2


def test_show_tells_everything_and_leaves_the_digits_of_numbers() -> None:
    result = run(FakeTopic([A, C]), "show", "a")

    assert result.exit_code == 0
    lines = [line.strip() for line in result.stdout.splitlines()]
    for line in ("response:        no such transaction", "last status:     422", "detail:          HTTP 422"):
        assert line in lines
    assert '"amount": 1.10,' in lines
    assert '"big": 123456789012345678901234567890' in lines
    assert "event-id: a" in lines
    assert "c" not in lines


def test_show_of_one_destination_of_several() -> None:
    elsewhere = replace(A, destination=DestinationId("client.acme.sep24"))
    topic = FakeTopic([A, elsewhere])

    assert len(json.loads(run(topic, "show", "a", "--json").stdout)) == 2
    (entry,) = json.loads(run(topic, "show", "a", "--json", "--destination", "client.acme").stdout)
    assert entry["destination"] == "client.acme.sep24"
    assert entry["value"] == (A.value or b"").decode()
    assert entry["response"] == "no such transaction"
    assert entry["headers"] == {"event-id": "a"}


def test_show_of_an_unknown_event_exits_with_1() -> None:
    result = run(FakeTopic([A]), "show", "nobody")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "nobody" in result.stderr


def test_redrive_sends_what_is_selected_in_order() -> None:
    topic = FakeTopic([A, B, C])

    result = run(topic, "redrive", "--transaction-id", "t1", "--yes")

    assert (result.exit_code, topic.sent) == (0, ["a", "b"])
    assert result.stdout.startswith("2 dead letters redriven, marked 20")


@pytest.mark.parametrize("arguments", [[], ["--all", "--event-id", "a"], ["--yes"], ["--allow-gaps"]])
def test_redrive_wants_either_a_filter_or_all(arguments: list[str]) -> None:
    topic = FakeTopic([A])

    assert run(topic, "redrive", *arguments).exit_code == 2
    assert topic.sent == []


def test_a_dry_run_shows_and_sends_nothing() -> None:
    topic = FakeTopic([A, B])

    result = run(topic, "redrive", "--all", "--dry-run", "--yes")

    assert (result.exit_code, topic.sent) == (0, [])
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["EVENT", "a", "b", "2"]
    assert "would be sent" in result.stdout


@pytest.mark.parametrize(("answer", "code", "sent"), [("y\n", 0, ["a", "b"]), ("n\n", 1, []), ("\n", 1, [])])
def test_a_person_is_asked(answer: str, code: int, sent: list[str]) -> None:
    topic = FakeTopic([A, B])

    result = run(topic, "redrive", "--all", answer=answer)

    assert (result.exit_code, topic.sent) == (code, sent)
    assert "Send 2 to callback-api?" in result.stderr


def test_yes_asks_nobody() -> None:
    topic = FakeTopic([A])

    result = run(topic, "redrive", "--all", "--yes", answer="n\n")

    assert (result.exit_code, topic.sent) == (0, ["a"])
    assert "Send" not in result.stderr


def test_what_would_overtake_is_refused_unless_allowed() -> None:
    topic = FakeTopic([A, B])

    refused = run(topic, "redrive", "--event-id", "b", "--yes", "--json")

    assert (refused.exit_code, topic.sent) == (1, [])
    assert "event b would overtake event a" in refused.stderr
    told = json.loads(refused.stdout)
    assert (told["sent"], [gap["earlier_event_id"] for gap in told["gaps"]]) == ([], ["a"])
    assert [one["event_id"] for one in told["not_sent"]] == ["b"]
    allowed = run(topic, "redrive", "--event-id", "b", "--yes", "--allow-gaps")
    assert (allowed.exit_code, topic.sent) == (0, ["b"])


def test_what_cannot_be_redriven_is_told_and_the_rest_sent() -> None:
    topic = FakeTopic([GONE, C])

    result = run(topic, "redrive", "--all", "--yes", "--json")

    assert (result.exit_code, topic.sent) == (1, ["c"])
    told = json.loads(result.stdout)
    assert [one["event_id"] for one in told["refused"]] == ["g"]
    assert [(one["event_id"], one["topic"]) for one in told["sent"]] == [("c", "eventproc.callback-api")]
    assert "cannot redrive event g: client.gone.sep24 is not in the configuration" in result.stderr


def test_nothing_that_matches_exits_with_1() -> None:
    assert run(FakeTopic([A]), "redrive", "--event-id", "x").exit_code == 1
    assert run(FakeTopic([]), "redrive", "--all").exit_code == 1


@pytest.mark.parametrize("arguments", [["list"], ["show", "a"], ["redrive", "--all"]])
def test_a_broker_that_is_away_exits_with_3(arguments: list[str]) -> None:
    result = run(FakeTopic(is_away=True), *arguments)

    assert result.exit_code == 3
    assert "k:9092" in result.stderr
    assert "\x1b" not in result.output


def test_a_broker_that_goes_away_in_the_middle_tells_how_far_it_came() -> None:
    result = run(FakeTopic([A, B, C], fails_after=2), "redrive", "--all", "--yes")

    assert result.exit_code == 3
    assert "2 of 3 were redriven" in result.stderr


def test_a_signal_ends_it_between_two_rounds_and_the_rest_still_waits() -> None:
    topic = FakeTopic([A, B, C], interrupted_after=2)

    result = run(topic, "redrive", "--all", "--yes")

    assert (result.exit_code, topic.sent) == (1, ["a", "b"])
    assert "2 of 3 were redriven; the rest still waits" in result.stderr
    at_the_end = run(FakeTopic([A, B], interrupted_after=2), "redrive", "--all", "--yes")
    assert at_the_end.exit_code == 0, "nothing is left to stop"


def test_what_was_redriven_by_another_command_meanwhile_is_not_sent() -> None:
    stale = StalePlanError("2 of 3 dead letters were redriven meanwhile")
    result = run(FakeTopic([A, B, C], fails_after=0, fails_by=stale), "redrive", "--all", "--yes")

    assert result.exit_code == 1
    assert "2 of 3 dead letters were redriven meanwhile" in result.stderr
    assert result.stdout == "" or "redriven, marked" not in result.stdout


def test_what_is_too_large_is_named_and_the_rest_is_redriven() -> None:
    refused = RefusedLettersError([], 0)
    result = run(FakeTopic([A, B, C], fails_after=2, fails_by=refused), "redrive", "--all", "--yes")

    assert result.exit_code == 1
    assert "2 of 3 were redriven, marked" in result.stderr
    assert "Too large for the destination's topic, and still waiting" in result.stderr


def test_a_wrong_configuration_exits_with_2() -> None:
    commands = deadletter_commands(lambda _settings: FakeTopic())
    result = CliRunner().invoke(commands, ["list"], obj=CliContext(environment={"EVENTS_ENABLED": "x"}))

    assert result.exit_code == 2
    assert "events.enabled" in result.stderr


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.text(max_size=20) | st.just(HOSTILE))
def test_no_string_of_others_reaches_the_terminal_as_it_is(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    entry = replace(
        A,
        event_id=EventId(text),
        event_type=text,
        lane=LaneKey(text),
        destination=DestinationId(f"client.{text}.sep24"),
        detail=text,
        reason=text or "rejected",
        redriven=text,
        excerpt=raw,
        value=json.dumps({text: text}, ensure_ascii=False).encode("utf-8", "replace"),
        headers=[(text, raw)],
    )
    earlier = replace(entry, event_id=EventId("first"))
    topic = FakeTopic([earlier, entry])
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["show", "first"],
        ["show", "first", "--json"],
        ["redrive", "--all", "--dry-run"],
        ["redrive", "--event-id", "first", "--event-id", "x", "--dry-run", "--json"],
        ["show", text or "x", "--destination", "nowhere"],
    ):
        if any(argument.startswith("-") for argument in arguments[1:2]) and arguments[0] == "show":
            continue
        output = run(topic, *arguments).output
        hidden = [char for char in output if not char.isprintable() and char != "\n"]
        assert hidden == [], arguments
    table = run(FakeTopic([entry]), "list").stdout.splitlines()
    assert len(table) == 3, "an id with a line end in it does not forge a line"


def test_markup_in_a_string_is_text() -> None:
    entry = replace(A, event_id=EventId("[red]x[/red]:smile:"))

    assert "[red]x[/red]:smile:" in run(FakeTopic([entry]), "list").stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1bb", "a\\x1bb"),
        ("a\nb", "a\\nb"),
        ("\u202e", "\\u202e"),
        ("é [x]", "é [x]"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ["(none)"]),
        (b"not json", ["not json"]),
        (b"\xff", ["\ufffd"]),
        (b'{"a":1.50}', ["{", '  "a": 1.50', "}"]),
        (b"[" * 100_000, ["[" * 100_000]),
        (b'"\\ud800"', ['"\\ud800"']),
        (b"[NaN]", ["[", "  NaN", "]"]),
    ],
)
def test_any_value_can_be_shown(value: bytes | None, expected: list[str]) -> None:
    assert pretty(value) == expected
