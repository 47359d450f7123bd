from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stellar_sdk import Keypair

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from settings.keys import all_keys
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
WALLET = '[{"name": "lobstr", "type": "noncustodial", "domain": "lobstr.co", "callback_url": "https://lobstr.co/cb"}]'


SERVED = {
    "EVENTS_ENABLED": "true",
    "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
    "CALLBACK_API_BASE_URL": "http://business.example.com",
}


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, obj=CliContext(environment=env or {}), catch_exceptions=False)


def test_check_of_a_right_configuration_exits_with_0() -> None:
    result = run(
        "config",
        "check",
        env=SERVED,
    )

    assert result.exit_code == 0
    assert result.stdout == "The configuration is right.\n"
    assert result.stderr == ""


def test_check_says_when_the_signing_key_changes_and_to_which() -> None:
    following = Keypair.random()
    env = {
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
        "SECRET_SEP10_SIGNING_SEED_NEXT": following.secret,
        "SEP10_SIGNING_SEED_NEXT_AT": "2026-12-01T10:00:00Z",
    }
    said = run("config", "check", env=env).stdout
    change = f"{TEST_PUBLIC_KEY} signs until 2026-12-01T10:00:00+00:00, {following.public_key} from then on."
    assert change in said.splitlines()


def test_show_names_the_account_of_a_seed_and_not_the_seed() -> None:
    env = {"SECRET_SEP10_SIGNING_SEED": TEST_SEED}
    shown = run("config", "show", env=env).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("sep10.signing_seed ")]
    assert line.endswith(f"account {TEST_PUBLIC_KEY}")
    assert TEST_SEED not in shown
    described = json.loads(run("config", "show", "--json", env=env).stdout)
    assert described["sep10.signing_seed"]["account"] == TEST_PUBLIC_KEY
    assert "account" not in described["sep10.signing_seed_next"]


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"EVENTS_ENABLED": "false"}, ["events.enabled is false"]),
        ({"EVENTS_ENABLED": ""}, ["events.enabled is false"]),
        ({"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "false"}, ["there is nobody to deliver to"]),
        ({"DELIVERY_MODE": "shadow"}, ["delivery.mode is shadow"]),
        (
            {"EVENTS_ENABLED": "false", "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "false"},
            ["events.enabled is false", "there is nobody to deliver to"],
        ),
    ],
)
def test_the_verdict_says_that_nothing_will_be_delivered_and_why(
    changes: dict[str, str], because: list[str]
) -> None:
    result = run("config", "check", env=SERVED | changes)

    assert result.exit_code == 0
    (verdict,) = result.stdout.splitlines()
    assert "The configuration is right" in verdict
    assert "but nothing will be delivered, because " in verdict
    assert all(reason in verdict for reason in because)


def test_the_verdict_says_where_the_business_server_is_looked_for_when_nobody_said_where() -> None:
    env = {name: value for name, value in SERVED.items() if name != "CALLBACK_API_BASE_URL"}

    said = run("config", "check", env=env).stdout

    assert "nothing will be delivered to the business server unless it is at http://localhost:8081" in said
    assert "callback_api.base_url is not set" in said
    wallets = {"SECRET_SEP10_SIGNING_SEED": SEED, "CLIENTS_VALUE": WALLET, "EVENTS_ENABLED": "true"}
    assert "localhost" not in run("config", "check", env=wallets).stdout, "that server is off"


def test_check_prints_warnings_and_still_exits_with_0() -> None:
    result = run("config", "check", env=SERVED | {"TOPICS_PARTITION": "3", "DELIVERY_X": "1"})

    assert result.exit_code == 0
    assert result.stdout == "The configuration is right, with 2 warnings.\n"
    assert "warning: TOPICS_PARTITION" in result.stderr
    assert "TOPICS_PARTITIONS?" in result.stderr


@pytest.mark.parametrize(
    "command", [["config", "show"], ["send-example", "--type", "quote_created", "--dry-run"]]
)
@pytest.mark.parametrize(("extra", "some"), [({}, "1 warning"), ({"DELIVERY_X": "1"}, "2 warnings")])
def test_elsewhere_warnings_take_one_line_and_in_json_none(
    command: list[str], extra: dict[str, str], some: str
) -> None:
    env = {"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true", "TOPICS_PARTITION": "3"} | extra
    assert run(*command, env=env).stderr == f"{some} about the configuration: see `eventproc config check`.\n"
    assert run(*command, "--json", env=env).stderr == ""
    assert run(*command, env={"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true"}).stderr == ""


def test_check_prints_every_problem_and_exits_with_2() -> None:
    result = run("config", "check", env={"EVENTS_ENABLED": "x", "WEB_PORT": "y"})

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "2 problems in the configuration:",
        "  - events.enabled (environment EVENTS_ENABLED): 'x' is not true or false; right: true or false",
        "  - web.port (environment WEB_PORT): 'y' is not a whole number; right: a whole number",
    ]


def test_config_option_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "anchor.yaml").write_text("topics: {partitions: 3}", encoding="utf-8")

    result = run("--config", str(tmp_path / "anchor.yaml"), "config", "show")

    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if line.startswith("topics.partitions "))
    assert line.split() == ["topics.partitions", "3", "[file", f"{tmp_path}/anchor.yaml]"]


def test_a_missing_config_file_exits_with_2() -> None:
    result = run("--config", "nowhere.yaml", "config", "check")

    assert result.exit_code == 2
    assert "configuration file (--config): nowhere.yaml" in result.stderr


def test_show_has_every_key_and_each_client_with_origins_and_masks_secrets() -> None:
    env = {
        "CLIENTS_VALUE": WALLET,
        "SECRET_SEP10_SIGNING_SEED": SEED,
        "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": "hunter2hunter2hunter2hunter2hunter2",
        "SECRET_SEP6_MORE_INFO_URL_JWT_SECRET": "hunter2hunter2hunter2hunter2hunter2",
    }

    text = run("config", "show", env=env)
    as_json = run("config", "show", "--json", env=env)

    shown = json.loads(as_json.stdout)
    assert {key for key in all_keys() if not key.startswith("clients.")} <= set(shown)
    assert {line.split()[0] for line in text.stdout.splitlines()} == set(shown)
    assert shown["sep10.signing_seed"] == {
        "value": "********",
        "origin": "environment SECRET_SEP10_SIGNING_SEED",
        "account": Keypair.from_secret(SEED).public_key,
    }
    assert shown["web.admin_token"] == {"value": None, "origin": "not set"}
    assert shown["events.enabled"] == {"value": False, "origin": "default"}
    assert shown["clients.items[0].callback_urls.sep12"] == {
        "value": "https://lobstr.co/cb",
        "origin": "environment CLIENTS_VALUE",
    }
    assert shown["clients.items[0].domains"]["value"] == ["lobstr.co"]
    for output in (text.output, as_json.output):
        assert SEED not in output
        assert "hunter2" not in output


@pytest.mark.parametrize(
    "key",
    [
        "events.queue.kafka.batch_size",
        "events.queue.kafka.linger_ms",
        "events.queue.kafka.retries",
        "events.queue.kafka.poll_timeout_seconds",
        "event_processor.management_server_port",
    ],
)
def test_show_marks_a_key_without_effect(key: str) -> None:
    line = next(line for line in run("config", "show").stdout.splitlines() if line.startswith(f"{key} "))

    assert "accepted, no effect: " in line
    assert json.loads(run("config", "show", "--json").stdout)[key]["note"].startswith("accepted, no effect: ")


def test_show_of_a_wrong_configuration_exits_with_2() -> None:
    result = run("config", "show", env={"EVENTS_ENABLED": "x"})

    assert result.exit_code == 2
    assert "events.enabled" in result.stderr
