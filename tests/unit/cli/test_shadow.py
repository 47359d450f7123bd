from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from eventproc.cli.shadow import shadow_commands
from eventproc.errors import BrokerUnavailableError
from eventproc.identifiers import DestinationId
from eventproc.shadow.diff import NOT_ITS_OWN
from eventproc.shadow.records import read_shadow_record, shadow_record
from eventproc.shadow.request import SentRequest
from settings import Settings
from tests.golden.recorded import SECRET
from tests.golden.traffic import AT, both_sides
from tests.servers.anchor_env import CALLBACK_SECRET, anchor_env, noncustodial_client

CLIENT = noncustodial_client(
    "reference",
    "https://wallet.example.com:8443",
    domains=["wallet-server:8092", "wallet.example.com"],
)
OTHER = DestinationId("client.other.sep24")
ENV = anchor_env(
    "127.0.0.1:9",
    business_url="http://business.example.com",
    clients=[
        CLIENT,
        noncustodial_client("other", "https://other.example.com", domains=["other.example.com"]),
    ],
    extra={
        "SECRET_CALLBACK_API_AUTH_SECRET": CALLBACK_SECRET,
        "SECRET_SEP6_MORE_INFO_URL_JWT_SECRET": SECRET.decode(),
        "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": SECRET.decode(),
    },
)
UNKNOWN_MEMBERS = [
    argument
    for name in ("zzz", "nested", "claimable_balance_id")
    for argument in ("--ignore", f"payload.transaction.{name}")
]


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(made: Sequence[SentRequest] | None, *arguments: str) -> Result:
    async def read(settings: Settings) -> list[SentRequest]:
        assert settings.topics.requests == "eventproc.shadow.requests"
        if made is None:
            raise BrokerUnavailableError("Kafka at k:9092: no answer in time")
        return list(made)

    return CliRunner().invoke(
        shadow_commands(read), arguments, obj=CliContext(environment=ENV), catch_exceptions=False
    )


def captured(requests: Sequence[SentRequest], name: str = "captured.jsonl") -> str:
    text = "".join(json.dumps(one.to_json()) + "\n" for one in requests)
    Path(name).write_text(text, "utf-8")
    return name


def test_the_commands_are_part_of_the_command_line() -> None:
    for command in ("diff", "export"):
        assert CliRunner().invoke(main, ["shadow", command, "--help"]).exit_code == 0


def test_equal_traffic_ends_with_0_and_says_what_was_expected() -> None:
    there, here = both_sides()
    result = run(here, "diff", captured(there), *UNKNOWN_MEMBERS)

    assert result.exit_code == 0, result.output
    assert "nothing else differs" in result.stdout
    assert "times: the Anchor Platform leaves it out" in result.stdout
    assert f"captured: {len(there)} requests, 2026-11-24T10:24:57.500Z" in result.stdout


def test_a_difference_ends_with_1_and_is_shown_once_for_all_events_that_have_it() -> None:
    there, here = both_sides()
    touched = [replace(one, body=one.body.replace(b'"kind":"deposit"', b'"kind":"d"')) for one in there]
    result = run(here, "diff", captured(touched), *UNKNOWN_MEMBERS)

    assert result.exit_code == 1
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any('body client.reference.sep24 transaction.kind "d" "deposit"' in row for row in rows)
    assert any("proof client.reference.sep24 header.signature" in row for row in rows)
    assert " differences of " in rows[-1]
    few = run(here, "diff", captured(touched), "--limit", "1")
    assert "not shown" in few.stdout


def test_json_has_every_difference() -> None:
    there, here = both_sides()
    result = run(here[1:], "diff", captured(there), "--json", *UNKNOWN_MEMBERS)

    assert result.exit_code == 1
    (only,) = json.loads(result.stdout)["differences"]
    assert (only["kind"], only["destination"]) == ("missing", "callback-api")


def test_what_export_prints_can_be_compared_without_kafka() -> None:
    there, here = both_sides()
    exported = run(here, "export")
    assert exported.exit_code == 0
    assert len(exported.stdout.splitlines()) == len(here)
    Path("here.jsonl").write_text(exported.stdout, "utf-8")
    result = run(None, "diff", captured(there), "--here", "here.jsonl", *UNKNOWN_MEMBERS)

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (False, (), "Topic eventproc.shadow.requests is not there, or has no records"),
        (True, ("--since", "2030-01-01"), "requests in eventproc.shadow.requests fits --since"),
        (True, ("--destination", "client.other"), "requests in eventproc.shadow.requests fits --since"),
    ],
)
def test_an_export_of_nothing_says_so_and_ends_with_1(
    made: bool, options: tuple[str, ...], said: str
) -> None:
    _, here = both_sides()
    result = run(here if made else [], "export", *options)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


@pytest.mark.parametrize("options", [(), ("--json",), ("--here", "captured.jsonl")])
def test_an_export_taken_for_a_capture_is_said_and_not_compared(options: tuple[str, ...]) -> None:
    there, here = both_sides()
    captured(there)
    written = [shadow_record(one, AT) for one in here]
    made = [one for _, value, headers in written if (one := read_shadow_record(headers, value)) is not None]
    Path("here.jsonl").write_text(run(made, "export").stdout, "utf-8")
    result = run(here, "diff", "here.jsonl", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "here.jsonl: secrets are masked in" in result.stderr
    assert "give it by --here here.jsonl" in result.stderr
    assert run(None, "diff", "captured.jsonl", "--here", "here.jsonl", *UNKNOWN_MEMBERS).exit_code == 0


def test_a_window_and_a_destination_are_of_both_sides() -> None:
    there, here = both_sides()
    early = [replace(one, at=AT - timedelta(hours=2)) for one in [*there[:3], *there[5:7]]]
    window = ("--since", "2026-11-24T10:00:00Z", "--until", "2026-11-24T11:00:00Z")

    result = run(here, "diff", captured([*early, *there]), *window, *UNKNOWN_MEMBERS)
    assert result.exit_code == 0, result.output
    result = run(here, "diff", captured(there), "--destination", "client.*.sep6", "--json")
    told = json.loads(result.stdout)
    assert told["captured"]["requests"] == told["shadow"]["requests"] == told["paired"] == 3
    assert result.exit_code == 0


def test_whose_a_transaction_is_is_known_though_only_a_wallet_is_looked_at() -> None:
    there, here = both_sides()
    stray = replace(next(one for one in there if one.url.endswith("/sep24")), destination=OTHER)
    to_other = ("--destination", "client.other", "--json")

    told = json.loads(run(here, "diff", captured([*there, stray]), *to_other).stdout)
    assert told["differences"] == []
    assert list(told["expected"]) == [NOT_ITS_OWN]
    only_wallets = [one for one in [*there, stray] if "/event" not in one.url]
    told = json.loads(run([], "diff", captured(only_wallets), *to_other).stdout)
    assert [one["kind"] for one in told["differences"]] == ["missing"]


def test_an_empty_side_is_no_success() -> None:
    there, _ = both_sides()
    result = run([], "diff", captured(there), "--destination", "client.reference.sep31")
    assert result.exit_code == 1
    assert "one side is empty" in result.stdout
    assert run([], "diff", captured([])).exit_code == 1


def test_wrong_usage_ends_with_2_and_an_absent_broker_with_3() -> None:
    there, here = both_sides()
    Path("bad.jsonl").write_text("nonsense\n", "utf-8")
    assert run(here, "diff", "bad.jsonl").exit_code == 2
    assert "bad.jsonl, line 1" in run(here, "diff", "bad.jsonl").stderr
    assert run(here, "diff", captured(there), "--destination", "client.nobody").exit_code == 2
    assert run(here, "diff").exit_code == 2
    assert run(None, "diff", captured(there)).exit_code == 3


def test_nothing_in_a_capture_reaches_the_terminal_raw() -> None:
    there, here = both_sides()
    body = b'{"id": "\x1b[2J", "payload": {"quote": {"id": "\x1b[31m"}}}'.replace(b"\x1b", b"\\u001b")
    result = run(here, "diff", captured([*there, replace(there[0], body=body, url="http://x/\x1b[2J")]))

    assert "\x1b" not in result.stdout
