from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from eventproc.cli.replay import replay_command
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId, EventId, LaneKey
from eventproc.records import Source
from eventproc.replay import (
    EventNote,
    MissingTopicError,
    Place,
    ReplayPlan,
    ReplaySelection,
    SendProgress,
)
from eventproc.replay_point import Rest, ResumePoint
from tests.servers.anchor_env import anchor_env, noncustodial_client

BUSINESS = DestinationId("callback-api")
ACME, OTHER = DestinationId("client.acme.sep24"), DestinationId("client.other.sep24")
ENV = anchor_env(
    "127.0.0.1:1",
    business_url="http://business.example.com",
    clients=[
        noncustodial_client(
            name, f"https://{name}.example.com", domains=[f"{name}.example.com"], seps=["sep24"]
        )
        for name in ("acme", "other")
    ],
)
PUBLISHED_MS = 1_795_500_000_000


def plan_of(events: int, event_id: str = "e") -> ReplayPlan:
    plan = ReplayPlan(not_routed=4, unreadable=0, elsewhere=1)
    for number in range(events):
        note = EventNote(
            EventId(f"{event_id}{number}"), "transaction_created", LaneKey("t"), PUBLISHED_MS + number
        )
        plan.add(Place(0, number, PUBLISHED_MS + number), note, (BUSINESS, ACME))
    return plan


@dataclass
class FakeSource:
    result: ReplayPlan = field(default_factory=lambda: plan_of(3))
    asked: list[ReplaySelection] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    is_away: bool = False
    is_new: bool = False
    ends_after: int | None = None
    ends_by: type[BaseException] = BrokerUnavailableError

    async def plan(self, selection: ReplaySelection, on_progress: Callable[[int, int], None]) -> ReplayPlan:
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: \x1b[2J no answer in time")
        if self.is_new:
            raise MissingTopicError("Topic x is not there")
        self.asked.append(selection)
        on_progress(1, 2)
        return self.result

    async def send(
        self, plan: ReplayPlan, at: str, progress: SendProgress, on_progress: Callable[[], None]
    ) -> None:
        self.sent.append(at)
        for place, destinations in plan.copies.items():
            if progress.events == self.ends_after:
                progress.in_doubt = 2
                raise self.ends_by("Kafka at k:9092: gone")
            progress.written += len(destinations)
            progress.complete(
                Source("TRANSACTION", place.partition, place.offset, PUBLISHED_MS + place.offset),
                destinations,
            )
            on_progress()


def resume_point(line: str) -> str:
    """The point that a line of standard error has."""
    return line.partition("--resume ")[2]


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))


def run(source: FakeSource, *arguments: str, answer: str | None = None) -> Result:
    """The command; an ``answer`` makes it believe in a person at a terminal."""
    command = replay_command(lambda _settings: source, lambda: answer is not None)
    context = CliContext(environment=ENV)
    return CliRunner().invoke(command, arguments, obj=context, input=answer, catch_exceptions=False)


def test_the_help_has_every_option_and_exit_code() -> None:
    result = CliRunner().invoke(main, ["replay", "--help"])

    assert result.exit_code == 0
    options = (
        "transaction",
        "since",
        "until",
        "destination",
        "client",
        "resume",
        "latest-state-only",
        "dry-run",
        "yes",
        "json",
    )
    for option in options:
        assert f"  --{option} " in result.output
    for line in (
        "0  done",
        "1  nothing matches, refused",
        "2  wrong configuration",
        "3  Kafka did not answer",
    ):
        assert line in result.output


def test_a_selection_is_what_was_asked_for() -> None:
    source = FakeSource()

    run(source, "--transaction", "t1", "--transaction", "t2", "--until", "2026-11-24T06:00:00+00:00", "--yes")
    run(source, "--since", "2026-11-24T08:00:00+02:00", "--latest-state-only", "--yes")

    assert source.asked == [
        ReplaySelection(frozenset({BUSINESS, ACME, OTHER}), None, PUBLISHED_MS, frozenset({"t1", "t2"})),
        ReplaySelection(
            frozenset({BUSINESS, ACME, OTHER}), PUBLISHED_MS, None, frozenset(), latest_state_only=True
        ),
    ]


@pytest.mark.parametrize(
    ("arguments", "destinations"),
    [
        (["--destination", "callback-api"], {BUSINESS}),
        (["--destination", "client.*"], {ACME, OTHER}),
        (["--client", "acme"], {ACME}),
        (["--client", "acme", "--client", "other"], {ACME, OTHER}),
        (["--client", "acme", "--destination", "*.sep24"], {ACME}),
    ],
)
def test_destinations_and_clients_narrow_it_down(arguments: list[str], destinations: set[str]) -> None:
    source = FakeSource()

    run(source, "--since", "2h", "--yes", *arguments)

    assert source.asked[0].destinations == destinations


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--until", "2h"],
        ["--latest-state-only"],
        ["--since", "yesterday"],
        ["--since", "2h", "--destination", "callback_api"],
        ["--since", "2h", "--client", "acne"],
        ["--since", "2h", "--client", "acme", "--destination", "callback-api"],
    ],
)
def test_wrong_usage_exits_with_2_before_anything_is_read(arguments: list[str]) -> None:
    source = FakeSource()

    assert run(source, *arguments).exit_code == 2
    assert source.asked == []


def test_an_unknown_client_is_told_the_nearest() -> None:
    assert "Did you mean acme?" in run(FakeSource(), "--since", "2h", "--client", "acne").stderr


def test_a_replay_says_what_was_sent_and_what_was_left_out() -> None:
    source = FakeSource()

    result = run(source, "--since", "2h", "--yes")

    assert (result.exit_code, len(source.sent)) == (0, 1)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["DESTINATION", "EVENTS", "FIRST", "LAST"]
    assert lines[1].split() == [
        "callback-api", "3", "2026-11-24T06:00:00.000Z", "e0", "of", "t", "2026-11-24T06:00:00.002Z", "e2", "of", "t",
    ]  # fmt: skip
    assert lines[-1] == f"3 events in 6 copies sent again, marked {source.sent[0]}."
    assert [line for line in result.stderr.splitlines() if "--resume" not in line] == [
        "left out: 4 not routed yet: they come by themselves",
        "left out: 1 for none of these destinations",
    ]


def test_the_same_as_json_for_programs() -> None:
    source = FakeSource()

    told = json.loads(run(source, "--since", "2h", "--json", "--yes").stdout)

    first = {
        "event_id": "e0",
        "type": "transaction_created",
        "transaction_id": "t",
        "published_at": "2026-11-24T06:00:00.000Z",
    }
    last = first | {"event_id": "e2", "published_at": "2026-11-24T06:00:00.002Z"}
    assert told == {
        "at": source.sent[0],
        "dry_run": False,
        "events": 3,
        "copies": 6,
        "written": 6,
        "in_doubt": 0,
        "whole_events": 3,
        "last_whole": {
            "topic": "TRANSACTION",
            "partition": 0,
            "offset": 2,
            "timestamp_ms": PUBLISHED_MS + 2,
        },
        "destinations": [
            {"id": id_, "events": 3, "first": first, "last": last} for id_ in ("callback-api", ACME)
        ],
        "left_out": {"not_routed": 4, "unreadable": 0, "elsewhere": 1},
        "problem": None,
        "resume": None,
    }


@pytest.mark.parametrize("answer", [None, "y\n"])
def test_a_dry_run_asks_nobody_and_sends_nothing(answer: str | None) -> None:
    source = FakeSource(plan_of(500))

    result = run(source, "--since", "2h", "--dry-run", answer=answer)

    assert (result.exit_code, source.sent) == (0, [])
    assert result.stdout.splitlines()[-1].endswith("would be sent; this was a dry run.")
    told = json.loads(run(source, "--since", "2h", "--dry-run", "--json").stdout)
    assert (told["dry_run"], told["copies"], told["written"]) == (True, 2 * 500, 0)


@pytest.mark.parametrize(("answer", "code", "sends"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_a_person_is_asked(answer: str, code: int, sends: int) -> None:
    source = FakeSource()

    result = run(source, "--since", "2h", answer=answer)

    assert (result.exit_code, len(source.sent)) == (code, sends)
    assert "Send 3 events in 6 copies again?" in result.stderr


def test_nothing_that_matches_exits_with_1() -> None:
    result = run(FakeSource(ReplayPlan()), "--since", "2h", "--yes")

    assert result.exit_code == 1
    assert "Nothing matches" in result.stderr


@pytest.mark.parametrize(("ends_by", "code"), [(BrokerUnavailableError, 3), (KeyboardInterrupt, 1)])
def test_whatever_ends_it_early_it_says_how_far_it_came(ends_by: type[BaseException], code: int) -> None:
    result = run(FakeSource(ends_after=2, ends_by=ends_by), "--since", "2h", "--yes")

    assert result.exit_code == code
    assert "sent again, marked" not in result.stdout
    *_, third, last = [line for line in result.stderr.splitlines() if "--resume" in line]
    assert last == (
        "4 of 6 copies are written. 2 more may be. Whole are the first 2 of 3 events, up to the one at "
        "TRANSACTION/0 offset 1, published 2026-11-24T06:00:00.001Z. "
        f"To send the rest: eventproc replay --resume {resume_point(third)}"
    )


def test_one_that_ended_before_anything_was_whole_says_so() -> None:
    result = run(FakeSource(ends_after=0, ends_by=KeyboardInterrupt), "--since", "2h", "--json", "--yes")

    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["problem"] == "Interrupted."
    assert result.stderr.splitlines()[-1] == (
        "0 of 6 copies are written. 2 more may be. "
        f"To send the rest: eventproc replay --resume {told['resume']}"
    )


def test_what_the_source_has_dropped_meanwhile_is_not_said_to_be_sent() -> None:
    class Dropping(FakeSource):
        async def send(
            self, plan: ReplayPlan, at: str, progress: SendProgress, on_progress: Callable[[], None]
        ) -> None:
            del plan.copies[Place(0, 0, PUBLISHED_MS)]
            await FakeSource.send(self, plan, at, progress, on_progress)
            plan.copies[Place(0, 0, PUBLISHED_MS)] = (BUSINESS,)

    result = run(Dropping(), "--since", "2h", "--yes")

    assert result.exit_code == 1
    assert "does not hold all of it any more" in result.stderr


def test_a_broker_that_is_away_exits_with_3() -> None:
    result = run(FakeSource(is_away=True), "--since", "2h")

    assert result.exit_code == 3
    assert "\x1b" not in result.output


def test_a_topic_that_is_not_there_exits_with_1() -> None:
    result = run(FakeSource(is_new=True), "--since", "2h")

    assert result.exit_code == 1
    assert "Topic x is not there" in result.stderr


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--dry-run", "--json"], ["--yes"]])
def test_no_id_reaches_the_terminal_as_it_is(arguments: list[str]) -> None:
    source = FakeSource(plan_of(1, "\x1b[2J\u202eevil\r\n[red]"))

    output = run(source, "--since", "2h", *arguments).output

    assert [char for char in output if not char.isprintable() and char != "\n"] == []


def test_a_point_is_printed_before_the_first_event_and_after_each_round() -> None:
    result = run(FakeSource(), "--since", "2h", "--yes")

    lines = [line for line in result.stderr.splitlines() if "--resume" in line]
    assert [line.partition(":")[0] for line in lines] == [
        f"{whole} of 3 events sent. If this is ended" for whole in range(4)
    ]
    objects = [
        json.loads(line)
        for line in run(FakeSource(), "--since", "2h", "--json", "--yes").stderr.splitlines()
        if line.startswith("{")
    ]
    assert [(one["whole_events"], one["events"]) for one in objects] == [(n, 3) for n in range(4)]


@pytest.mark.parametrize("whole", range(3))
def test_a_replay_is_continued_with_what_was_asked_for_and_the_same_mark(whole: int) -> None:
    first = FakeSource(ends_after=whole, ends_by=KeyboardInterrupt)
    asked_for = ("--transaction", "t", "--since", "2h", "--until", "1h", "--client", "acme", "--yes")
    point = resume_point(run(first, *asked_for).stderr.splitlines()[-1])
    rest = plan_of(3)
    for number in range(whole):
        del rest.copies[Place(0, number, PUBLISHED_MS + number)]
    for portion in rest.portions.values():
        portion.count -= whole
    second = FakeSource(rest)

    result = run(second, "--resume", point, "--yes")

    assert result.exit_code == 0, result.stderr
    assert second.sent == first.sent
    assert second.asked == [replace(first.asked[0], spans={0: (whole, 3)})]


def test_what_is_not_the_same_rest_is_not_sent() -> None:
    stopped = run(FakeSource(ends_after=1, ends_by=KeyboardInterrupt), "--since", "2h", "--yes")
    source = FakeSource(plan_of(3))

    result = run(source, "--resume", resume_point(stopped.stderr.splitlines()[-1]), "--yes")

    assert (result.exit_code, source.sent) == (1, [])
    assert (
        "2 events in 4 copies were left of this replay; what is there now gives 3 events in 6"
        in result.stderr
    )


def test_nothing_is_left_of_a_replay_that_was_done() -> None:
    point = resume_point(run(FakeSource(), "--since", "2h", "--yes").stderr.splitlines()[3])
    source = FakeSource()

    result = run(source, "--resume", point, "--yes")

    assert (result.exit_code, source.asked) == (0, [])
    assert "Nothing is left of this replay" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resume", "", "--yes"],
        ["--resume", "eNo", "--yes"],
        ["--resume", "\u00e4", "--yes"],
        ["--resume", ResumePoint("x", Rest()).text()[:-4], "--yes"],
        ["--resume", ResumePoint("x", Rest()).text(), "--since", "2h", "--yes"],
    ],
)
def test_what_is_no_point_and_a_selection_beside_one_is_wrong_usage(arguments: list[str]) -> None:
    source = FakeSource()

    assert run(source, *arguments).exit_code == 2
    assert source.asked == []
