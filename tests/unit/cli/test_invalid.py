"""``eventproc invalid``: what could not be read is found, explained, and printed without obeying it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc import invalid_records
from eventproc.cli.context import CliContext
from eventproc.cli.invalid import invalid_commands
from eventproc.cli.main import main
from eventproc.errors import BrokerUnavailableError
from eventproc.invalid_records import InvalidRecord, newest_of_each, read_invalid_record
from eventproc.records import Headers, Source, source_headers
from settings import Settings

AT_MS = 1_795_500_000_000  # 2026-11-24T06:00:00Z
HOSTILE = "\x1b[2J\u202eevil\r\n[red]"


def record(
    offset: int,
    reason: str = "no-type",
    *,
    key: bytes | None = b"e1",
    value: bytes | None = b'{"amount":1.10}',
    extra: Headers | None = None,
) -> InvalidRecord:
    """As a router writes it, a second after it was published; ``offset`` is that in the anchor's topic."""
    headers = [
        *(extra or []),
        *source_headers(Source("TRANSACTION", 0, offset, AT_MS + offset * 60_000)),
        (invalid_records.INVALID_REASON, reason.encode()),
        (invalid_records.INVALID_DETAIL, b"the event has no type"),
    ]
    return read_invalid_record(offset + 100, AT_MS + offset * 60_000 + 1000, key, value, headers)


@dataclass
class FakeTopic:
    records: list[InvalidRecord] = field(default_factory=list)
    is_away: bool = False

    async def __call__(
        self, settings: Settings, is_meant: Callable[[InvalidRecord], bool], *, with_values: bool
    ) -> list[InvalidRecord]:
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: no answer in time")
        return newest_of_each(one for one in self.records if is_meant(one))


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(topic: FakeTopic, *arguments: str) -> Result:
    commands = invalid_commands(lambda _settings: topic)
    context = CliContext(environment={})
    return CliRunner().invoke(commands, arguments, obj=context, catch_exceptions=False)


def test_it_is_part_of_the_command_line() -> None:
    assert CliRunner().invoke(main, ["invalid", "--help"]).exit_code == 0


def test_list_says_where_each_stands_and_why_nobody_got_it() -> None:
    result = run(FakeTopic([record(7), record(9, "too-large", key=None, value=None)]), "list")

    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "RECORD KEY REASON DETAIL PUBLISHED",
        "TRANSACTION/0/7 e1 no-type the event has no type 2026-11-24T06:07:00.000Z",
        "TRANSACTION/0/9 - too-large the event has no type 2026-11-24T06:09:00.000Z",
        "2 records could not be read.",
    ]


def test_list_as_json_has_no_contents() -> None:
    (one,) = json.loads(run(FakeTopic([record(7)]), "list", "--json").stdout)

    assert one == {
        "place": "TRANSACTION/0/7",
        "key": "e1",
        "reason": "no-type",
        "detail": "the event has no type",
        "value_bytes": 15,
        "published_at": "2026-11-24T06:07:00.000Z",
        "set_aside_at": "2026-11-24T06:07:01.000Z",
    }


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (["--reason", "too-large"], ["TRANSACTION/0/9"]),
        (["--reason", "too-large", "--reason", "no-type"], ["TRANSACTION/0/7", "TRANSACTION/0/9"]),
        (["--since", "2026-11-24T06:09:01Z"], ["TRANSACTION/0/9"]),
        (["--until", "2026-11-24T06:09:00Z"], ["TRANSACTION/0/7"]),
        (["--until", "2026-11-24T06:09:00Z", "--reason", "too-large"], []),
    ],
)
def test_list_is_narrowed_by_reason_and_time(arguments: list[str], places: list[str]) -> None:
    topic = FakeTopic([record(7), record(9, "too-large")])

    found = json.loads(run(topic, "list", "--json", *arguments).stdout)

    assert [one["place"] for one in found] == places


def test_nothing_there_is_said_and_no_failure() -> None:
    result = run(FakeTopic(), "list")

    assert (result.exit_code, result.stdout) == (0, "No such record is in eventproc.invalid.\n")


def test_written_twice_by_a_crash_it_is_one() -> None:
    assert len(json.loads(run(FakeTopic([record(7), record(9), record(7)]), "list", "--json").stdout)) == 2


@pytest.mark.parametrize("name", ["TRANSACTION/0/7", "e1"])
def test_show_has_reason_headers_and_contents(name: str) -> None:
    topic = FakeTopic([record(7, extra=[("trace", b"x")]), record(9, key=b"e2")])

    text = run(topic, "show", name).stdout

    for line in ("reason:       no-type", "  trace: x", "  invalid-reason: no-type", '    "amount": 1.10'):
        assert line in text.splitlines()
    assert "TRANSACTION/0/9" not in text
    (one,) = json.loads(run(topic, "show", name, "--json").stdout)
    assert one["headers"]["source-offset"] == "7"
    assert one["value"] == '{"amount":1.10}'


def test_show_of_what_is_no_text_keeps_the_bytes() -> None:
    (one,) = json.loads(run(FakeTopic([record(7, value=b"\xff\x00")]), "show", "e1", "--json").stdout)

    assert one["value_base64"] == "/wA="


def test_show_of_what_is_not_there_ends_with_1() -> None:
    result = run(FakeTopic([record(7)]), "show", "TRANSACTION/0/8")

    assert result.exit_code == 1
    assert "There is no record TRANSACTION/0/8 in eventproc.invalid." in result.stderr


def test_kafka_away_ends_with_3() -> None:
    assert run(FakeTopic(is_away=True), "list").exit_code == 3


def test_what_a_publisher_wrote_is_shown_and_not_obeyed() -> None:
    raw = HOSTILE.encode()
    topic = FakeTopic([record(7, HOSTILE, key=raw, value=raw, extra=[(HOSTILE, raw)])])

    for arguments in (["list"], ["show", "TRANSACTION/0/7"]):
        text = run(topic, *arguments).stdout
        assert "evil" in text
        assert "[red]" in text
        assert all(char.isprintable() or char == "\n" for char in text)


def test_what_no_router_wrote_is_listed_all_the_same() -> None:
    foreign = read_invalid_record(3, 2**60, None, b"x", [("source-timestamp", b"nonsense")])

    (one,) = json.loads(run(FakeTopic([foreign]), "list", "--json").stdout)

    assert one["place"] is None
    assert one["published_at"] is None
    assert one["value_bytes"] == 1
