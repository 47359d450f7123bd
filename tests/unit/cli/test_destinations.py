from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner, Result

from eventproc.breaker import BreakerState
from eventproc.cli.context import CliContext
from eventproc.cli.destinations import destination_commands
from eventproc.cli.main import main
from eventproc.errors import BrokerUnavailableError
from eventproc.group_progress import Asked, ClusterStatus, DestinationStatus, LeftBehind, Member
from eventproc.identifiers import DestinationId
from eventproc.pauses import Pause
from tests.servers.anchor_env import anchor_env, noncustodial_client

BUSINESS, WALLET = DestinationId("callback-api"), DestinationId("client.acme.sep24")
ENV = anchor_env(
    "127.0.0.1:1",
    business_url="http://business.example.com",
    clients=[noncustodial_client("acme", "https://acme.example.com", domains=["acme.example.com"])],
)
PAUSE = Pause("ann\x1b[2J", "their database\nmoves", "2026-11-25T10:00:00Z")


@dataclass
class FakeCluster:
    pauses: dict[DestinationId, Pause] = field(default_factory=dict)
    told: list[tuple[list[str], bool, str, str]] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    members: list[Member] | None = field(default_factory=lambda: [Member("eventproc", "10.0.0.7")])
    partitions: int = 8
    lag: int = 0
    oldest_ms: int | None = None
    dead_letters: int | None = 0
    breaker: BreakerState | None = None
    is_away: bool = False
    left_behind: list[LeftBehind] | None = field(default_factory=list)

    async def status(self, topics: Mapping[DestinationId, str], workers: Sequence[str] = ()) -> ClusterStatus:
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: \x1b[2J no answer in time")
        self.asked.append(list(topics))
        one = (self.partitions, self.lag, self.oldest_ms)
        found = [
            DestinationStatus(id_, topic, *one, self.pauses.get(id_), self.dead_letters, self.breaker)
            for id_, topic in topics.items()
        ]
        answers = [Asked(url, "no answer\x1b[2J in time") for url in workers]
        return ClusterStatus("eventproc", self.members, 3, found, answers, self.left_behind)

    async def paused(self) -> Mapping[DestinationId, Pause]:
        if self.is_away:
            raise BrokerUnavailableError("Kafka at k:9092: gone")
        return self.pauses

    async def set_paused(self, ids: Collection[DestinationId], paused: bool, by: str, reason: str) -> None:
        self.told.append((list(ids), paused, by, reason))


def run(cluster: FakeCluster, *arguments: str, looks: int = 1) -> Result:
    """One command, with ``--yes`` where it has that; ``--watch`` ends by Ctrl-C after so many looks."""
    if arguments[0] in {"pause", "resume"}:
        arguments = (*arguments, "--yes")

    def wait(_seconds: float) -> None:
        if len(cluster.asked) >= looks:
            raise KeyboardInterrupt

    commands = destination_commands(lambda _settings: cluster, wait)
    context = CliContext(environment=ENV)
    return CliRunner().invoke(commands, arguments, obj=context, catch_exceptions=False)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))


@pytest.mark.parametrize("command", [[], ["status"], ["pause"], ["resume"]])
def test_each_command_is_part_of_the_command_line_and_tells_its_exit_codes(command: list[str]) -> None:
    result = CliRunner().invoke(main, ["destinations", *command, "--help"])

    assert result.exit_code == 0
    for line in ("0  done", "2  wrong configuration or usage", "3  Kafka did not answer"):
        assert line in result.output


def test_the_options_of_each_command_are_what_scripts_rely_on() -> None:
    options = {
        name: sorted(option for one in command.params for option in one.opts if option.startswith("--"))
        for name, command in destination_commands(lambda _settings: FakeCluster()).commands.items()
    }
    assert options == {
        "status": ["--json", "--watch", "--worker"],
        "pause": ["--by", "--json", "--reason", "--yes"],
        "resume": ["--json", "--yes"],
    }


def test_status_is_a_table_of_all_with_the_workers_below() -> None:
    now = time.time()
    cluster = FakeCluster({WALLET: PAUSE}, lag=7, oldest_ms=int(now * 1000) - 7_300_000, dead_letters=2)
    cluster.breaker = BreakerState.CLOSED

    result = run(cluster, "status")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["DESTINATION", "STATE", "LAG", "OLDEST", "DEAD", "LETTERS", "PAUSED"]
    assert lines[1].split() == ["callback-api", "closed", "7", "2h", "1m", "2", "-"]
    wallet = next(line for line in lines if line.startswith(WALLET))
    assert wallet.rstrip().endswith("by ann\\x1b[2J since 2026-11-25T10:00:00Z: their database\\nmoves"), (
        "nothing of it is obeyed by the terminal"
    )
    assert lines[-1].strip() == "group eventproc: 1 worker on 10.0.0.7; 3 events not routed yet"
    assert len(lines) == 2 + len(cluster.asked[0])


def test_status_tells_what_waits_for_whom_nobody_delivers_to() -> None:
    cluster = FakeCluster(left_behind=[LeftBehind("eventproc.client.g\x1bone.sep24", 30, True)])

    result = run(cluster, "status", "callback-api")
    line = " ".join(result.stdout.split("routed yet")[1].split())
    assert line.startswith(
        "topic eventproc.client.g\\x1bone.sep24 is of no destination that is configured here: 30"
    )
    assert json.loads(run(cluster, "status", "--json").stdout)["not_configured"] == [
        {"topic": "eventproc.client.g\x1bone.sep24", "waiting": 30, "is_exact": True}
    ]


def test_status_says_what_it_does_not_know() -> None:
    cluster = FakeCluster(members=None, partitions=0, dead_letters=None, left_behind=None)

    lines = run(cluster, "status", "callback-api").stdout.splitlines()

    assert lines[1].split() == ["callback-api", "not", "known", "no", "topic", "yet", "-", "many", "-"]
    assert any("does not tell" in line for line in lines)
    assert "configured is not known" in " ".join(line.strip() for line in lines[2:])
    assert json.loads(run(cluster, "status", "--json").stdout)["not_configured"] is None


@pytest.mark.parametrize(
    ("breaker", "pause", "text", "state"),
    [
        (BreakerState.OPEN, None, "open", "open"),
        (BreakerState.HALF_OPEN, None, "half-open", "half_open"),
        (BreakerState.OPEN, PAUSE, "paused", "paused"),
        (None, PAUSE, "paused", "paused"),
        (None, None, "not", None),
    ],
)
def test_the_state_is_the_pause_else_the_breaker_s(
    breaker: BreakerState | None, pause: Pause | None, text: str, state: str | None
) -> None:
    cluster = FakeCluster({} if pause is None else {BUSINESS: pause})
    cluster.breaker = breaker

    assert run(cluster, "status", "callback-api").stdout.splitlines()[1].split()[1] == text
    (one,) = json.loads(run(cluster, "status", "callback-api", "--json").stdout)["destinations"]
    assert one["state"] == state


def test_a_worker_that_does_not_tell_is_named() -> None:
    arguments = ("status", "callback-api", "--worker", "http://10.0.0.3:8088")

    text = run(FakeCluster(), *arguments).stdout
    told = json.loads(run(FakeCluster(), *arguments, "--json").stdout)

    assert "worker at http://10.0.0.3:8088 are not known: no answer\\x1b[2J in time" in text
    assert told["workers_asked"] == [{"url": "http://10.0.0.3:8088", "problem": "no answer\x1b[2J in time"}]


@pytest.mark.parametrize("url", ["10.0.0.3:8088", "ftp://x", "http://", "http://h:99999", "http://["])
def test_a_worker_is_named_by_its_url(url: str) -> None:
    assert run(FakeCluster(), "status", "--worker", url).exit_code == 2


def test_status_as_json_has_the_same_for_programs() -> None:
    oldest_ms = 1_795_500_000_000
    cluster = FakeCluster({WALLET: PAUSE}, lag=7, oldest_ms=oldest_ms)

    told = json.loads(run(cluster, "status", "client.acme.sep24", "--json").stdout)

    (one,) = told.pop("destinations")
    assert told == {
        "group": "eventproc",
        "members": [{"client_id": "eventproc", "host": "10.0.0.7"}],
        "source_lag": 3,
        "workers_asked": [],
        "not_configured": [],
    }
    assert abs(one.pop("oldest_undelivered_seconds") - (time.time() - oldest_ms / 1000)) < 60
    assert one == {
        "id": WALLET,
        "state": "paused",
        "topic": "eventproc.client.acme.sep24",
        "partitions": 8,
        "lag": 7,
        "oldest_undelivered_at": "2026-11-24T06:00:00.000Z",
        "paused": {"by": PAUSE.by, "reason": PAUSE.reason, "at": PAUSE.at},
        "dead_letters": 0,
    }


def test_watching_looks_again_until_ctrl_c_which_is_no_failure() -> None:
    cluster = FakeCluster()

    result = run(cluster, "status", "callback-api", "--watch", "--json", looks=3)

    assert result.exit_code == 0
    assert [json.loads(line)["source_lag"] for line in result.stdout.splitlines()] == [3, 3, 3]


def test_watching_as_a_table_shows_the_last_look() -> None:
    cluster = FakeCluster()

    result = run(cluster, "status", "callback-api", "--watch", looks=2)

    assert (result.exit_code, len(cluster.asked)) == (0, 2)
    assert "callback-api" in result.stdout


def test_pause_tells_all_workers_who_and_why() -> None:
    cluster = FakeCluster()

    result = run(cluster, "pause", "client.*", "--reason", "their database moves", "--by", "ann")

    assert result.exit_code == 0
    ((ids, paused, by, reason),) = cluster.told
    assert (paused, by, reason) == (True, "ann", "their database moves")
    assert WALLET in ids
    assert BUSINESS not in ids
    assert result.stdout.splitlines() == [f"paused {id_}" for id_ in ids]


def test_nobody_pauses_without_a_reason() -> None:
    cluster = FakeCluster()

    result = run(cluster, "pause", "callback-api", "--reason", " ")

    assert result.exit_code == 2
    assert "--reason is empty" in result.stderr
    assert cluster.told == []


def test_who_pauses_is_whoever_is_logged_in_unless_told() -> None:
    cluster = FakeCluster()

    told = json.loads(run(cluster, "pause", "callback-api", "--reason", "r", "--json").stdout)

    ((_, _, by, _),) = cluster.told
    assert "@" in by
    assert told == {"paused": [BUSINESS], "by": by, "reason": "r"}


def test_pausing_what_is_paused_says_what_is_replaced() -> None:
    result = run(FakeCluster({BUSINESS: PAUSE}), "pause", "callback-api", "--reason", "another")

    assert "was paused by ann\\x1b[2J since" in result.stdout


def test_resume_ends_what_is_paused_and_leaves_the_rest() -> None:
    cluster = FakeCluster({BUSINESS: PAUSE})

    result = run(cluster, "resume", "callback-api", "client.acme.sep24")

    assert result.exit_code == 0
    assert [(ids, paused) for ids, paused, _, _ in cluster.told] == [([BUSINESS], False)]
    assert "resumed callback-api (was paused by ann" in result.stdout
    assert "client.acme.sep24 was not paused" in result.stdout
    told = json.loads(run(cluster, "resume", "callback-api", "client.acme.sep24", "--json").stdout)
    assert told == {"resumed": [BUSINESS], "not_paused": [WALLET]}


def test_resuming_what_is_not_paused_tells_nobody() -> None:
    cluster = FakeCluster()

    assert run(cluster, "resume", "callback-api").exit_code == 0
    assert cluster.told == []


def test_what_is_paused_can_be_resumed_after_it_left_the_configuration() -> None:
    gone = DestinationId("client.gone.sep6")
    cluster = FakeCluster({gone: PAUSE})

    assert run(cluster, "resume", "client.gone.sep6").exit_code == 0
    assert cluster.told[0][0] == [gone]


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "client.acne.sep24"],
        ["pause", "client.acne.sep24", "--reason", "r"],
        ["pause", "callback-api", "client.acne.sep24", "--reason", "r"],
        ["resume", "client.acne.sep24"],
    ],
)
def test_an_unknown_name_exits_with_2_and_tells_the_nearest(arguments: list[str]) -> None:
    cluster = FakeCluster()

    result = run(cluster, *arguments)

    assert (result.exit_code, result.stdout, cluster.told) == (2, "", [])
    assert "No destination client.acne.sep24" in result.stderr
    assert "client.acme.sep24" in result.stderr


@pytest.mark.parametrize("arguments", [["pause", "callback-api"], ["pause", "--reason", "r"], ["resume"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    assert run(FakeCluster(), *arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--watch"],
        ["pause", "callback-api", "--reason", "r"],
        ["resume", "callback-api"],
    ],
)
def test_a_broker_that_is_away_exits_with_3(arguments: list[str]) -> None:
    result = run(FakeCluster(is_away=True), *arguments)

    assert result.exit_code == 3
    assert "k:9092" in result.stderr
    assert "\x1b[2J" not in result.output
