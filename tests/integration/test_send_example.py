"""``eventproc send-example`` against a broker, a worker and real endpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.main import main
from tests.conftest import StartWorker
from tests.servers import replies
from tests.servers.anchor_env import CALLBACK_SECRET, Names, anchor_env, custodial_client, noncustodial_client
from tests.servers.command import invoke
from tests.servers.kafka import Broker
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver

NOWHERE = f"{LOOPBACK}:1"
ACCOUNT = "GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG"


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def run(env: Mapping[str, str], *arguments: str) -> Result:
    return await invoke(env, "send-example", *arguments)


def environment(
    wallet: str = "http://127.0.0.1:9", bootstrap: str = NOWHERE, **options: Any
) -> dict[str, str]:
    seps = options.pop("seps", ("sep24", "sep12"))
    clients = [
        noncustodial_client("lobstr", wallet, domains=["lobstr.co"], seps=seps),
        custodial_client("exchange", wallet, signing_keys=[ACCOUNT], seps=("sep31",)),
    ]
    return anchor_env(bootstrap, clients=clients, **options)


def kafka_env(broker: Broker, names: Names, wallet: Receiver, **options: Any) -> dict[str, str]:
    return environment(wallet.url, broker.bootstrap, names=names, **options)


async def test_an_example_goes_all_the_way(
    broker: Broker,
    names: Names,
    wallet_server: Receiver,
    business_server: Receiver,
    start_worker: StartWorker,
) -> None:
    env = kafka_env(broker, names, wallet_server, business_url=business_server.url)
    await broker.create_topics({names.source: 1})
    await start_worker(env)
    result = await run(env, "--client", "lobstr", "--status", "pending_anchor", "--yes")
    assert result.exit_code == 0, result.output
    assert "goes to: callback-api, client.lobstr.sep24" in result.stdout
    (to_wallet,) = await wallet_server.wait_for(1, 60)
    (to_business,) = await business_server.wait_for(1, 60)
    assert to_wallet.verified, to_wallet.problem
    assert to_wallet.json["transaction"]["status"] == "pending_anchor"
    assert str(to_wallet.event_id) == to_business.event_id
    assert str(to_wallet.event_id).startswith("example-")
    assert f"eventproc timeline {to_wallet.transaction_id}" in result.stdout


async def test_a_customers_example_reaches_the_wallet_after_its_teacher(
    broker: Broker, names: Names, wallet_server: Receiver, start_worker: StartWorker
) -> None:
    env = kafka_env(broker, names, wallet_server)
    await broker.create_topics({names.source: 1})
    await start_worker(env)
    result = await run(env, "--type", "customer_updated", "--client", "lobstr", "--yes", "--json")
    assert result.exit_code == 0, result.output
    lesson, customer = json.loads(result.stdout)["examples"]
    assert lesson["destinations"] == []
    assert customer["destinations"] == ["client.lobstr.sep12"]
    (request,) = await wallet_server.wait_for(1, 60)
    assert request.path == "/sep12"
    assert request.event_id == customer["event_id"]


async def test_json_tells_where_kafka_put_them(broker: Broker, names: Names, wallet_server: Receiver) -> None:
    env = kafka_env(broker, names, wallet_server)
    await broker.create_topics({names.source: 1})
    result = await run(env, "--client", "exchange", "--transaction", "t1", "--count", "3", "--yes", "--json")
    assert result.exit_code == 0, result.output
    examples = json.loads(result.stdout)["examples"]
    assert [one["published"] for one in examples] == [
        {"topic": names.source, "partition": 0, "offset": offset} for offset in range(3)
    ]
    records = await broker.read_all(names.source)
    assert [record.value for record in records] == [one["value"].encode() for one in examples]
    assert [record.key for record in records] == [one["event_id"].encode() for one in examples]
    assert [record.headers for record in records] == [{"type": b"transaction_status_changed"}] * 3
    assert all(
        one["subject"] == "t1" and one["destinations"] == ["client.exchange.sep31"] for one in examples
    )
    assert json.loads(records[0].value or b"")["transaction"]["creator"]["account"] == ACCOUNT


@pytest.mark.parametrize("more", [(), ("--json",)])
async def test_a_script_publishes_nothing_without_saying_yes(
    broker: Broker, names: Names, more: tuple[str, ...]
) -> None:
    await broker.create_topics({names.source: 1})
    env = environment(bootstrap=broker.bootstrap, names=names)
    result = await run(env, "--client", "lobstr", *more)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Give --yes" in result.stderr
    assert await broker.read_all(names.source) == []


async def test_a_topic_that_is_not_there_is_said(broker: Broker, names: Names) -> None:
    env = environment(bootstrap=broker.bootstrap, names=names)
    result = await run(env, "--client", "lobstr", "--yes")
    assert result.exit_code == 1
    assert f"topic {names.source} does not exist" in result.stderr


async def test_a_broker_that_is_away_exits_with_3() -> None:
    result = await run(environment(bootstrap=f"{LOOPBACK}:{free_port()}"), "--client", "lobstr", "--yes")
    assert result.exit_code == 3
    assert "Kafka at" in result.stderr


async def test_straight_to_the_wallet_it_is_signed_and_the_answer_shown(wallet_server: Receiver) -> None:
    env = environment(wallet_server.url)
    result = await run(env, "--client", "lobstr", "--to", "endpoint", "--yes")
    assert result.exit_code == 0, result.output
    (request,) = wallet_server.requests
    assert request.verified, request.problem
    assert request.path == "/sep24"
    assert f"{wallet_server.url}/sep24: taken  HTTP 200" in result.stdout
    assert " ms" in result.stdout


async def test_straight_to_the_wallet_a_customer_needs_no_teacher(wallet_server: Receiver) -> None:
    env = environment(wallet_server.url)
    result = await run(env, "--client", "lobstr", "--to", "endpoint", "--type", "customer_updated", "--yes")
    assert result.exit_code == 0, result.output
    (request,) = wallet_server.requests
    assert request.path == "/sep12"


async def test_straight_to_the_business_server_it_is_authenticated(business_server: Receiver) -> None:
    env = environment(business_url=business_server.url)
    result = await run(env, "--to", "endpoint", "--type", "quote_created", "--yes", "--json")
    assert result.exit_code == 0, result.output
    (request,) = business_server.requests
    assert request.verified, request.problem
    assert request.json["type"] == "quote_created"
    (example,) = json.loads(result.stdout)["examples"]
    (answer,) = example["answers"]
    assert (answer["destination"], answer["outcome"], answer["status"]) == ("callback-api", "taken", 200)


@pytest.mark.parametrize(
    ("status", "said"), [(422, "refused"), (503, "failed: status"), (302, "failed: redirect")]
)
async def test_an_endpoint_that_does_not_take_it_exits_with_1(
    wallet_server: Receiver, status: int, said: str
) -> None:
    wallet_server.respond = replies.always(replies.Answer(status, {}, b"no such \x1b[2Jtransaction"))
    result = await run(environment(wallet_server.url), "--client", "lobstr", "--to", "endpoint", "--yes")
    assert result.exit_code == 1
    assert f"{said}" in result.stdout
    assert f"HTTP {status}" in result.stdout
    assert "no such \\x1b[2Jtransaction" in result.stdout


async def test_an_endpoint_that_is_away_exits_with_1() -> None:
    result = await run(
        environment(f"http://{LOOPBACK}:{free_port()}"), "--client", "lobstr", "--to", "endpoint", "--yes"
    )
    assert result.exit_code == 1
    assert "failed: connect" in result.stdout


async def test_a_dry_run_sends_nothing_and_shows_no_secret(business_server: Receiver) -> None:
    env = environment(business_url=business_server.url)
    to_topic = await run(env, "--client", "lobstr", "--dry-run")
    assert to_topic.exit_code == 0
    assert '"client_domain": "lobstr.co"' in to_topic.stdout
    assert "this was a dry run" in to_topic.stdout
    to_wallet = await run(env, "--client", "lobstr", "--dry-run", "--to", "endpoint")
    assert "POST http://127.0.0.1:9/sep24" in to_wallet.stdout
    assert "Signature: t=" in to_wallet.stdout
    to_business = await run(env, "--dry-run", "--to", "endpoint", "--json")
    (example,) = json.loads(to_business.stdout)["examples"]
    assert example["requests"][0]["headers"]["Authorization"] == "********"
    assert business_server.requests == []
    for result in (to_topic, to_wallet, to_business):
        assert CALLBACK_SECRET not in result.output


@pytest.mark.parametrize(
    ("arguments", "extra", "code", "said"),
    [
        (("--client", "lobstr", "--sep", "31"), {}, 1, "no callback URL for SEP 31 (it has: sep24, sep12)"),
        (("--client", "exchange", "--type", "customer_updated"), {}, 1, "no callback URL for SEP 12"),
        (("--client", "lobstr", "--type", "quote_created"), {}, 1, "quotes go to the business server alone"),
        (
            ("--client", "lobstr"),
            {"EVENT_PROCESSOR_CLIENT_STATUS_CALLBACK_ENABLED": "false"},
            1,
            "client_status_callback.enabled is false",
        ),
        (("--to", "endpoint"), {}, 1, "callback_api_request.enabled is false"),
        (("--client", "lobster"), {}, 2, "Did you mean lobstr?"),
        (("--client", "lobstr", "--kind", "receive"), {}, 2, "right: deposit, withdrawal"),
        (("--status", "done"), {}, 2, "there is no status done"),
        (("--type", "x"), {}, 2, "transaction_created"),
    ],
)
async def test_what_cannot_be_is_said(
    arguments: tuple[str, ...], extra: dict[str, str], code: int, said: str
) -> None:
    result = await run(environment(extra=extra), *arguments, "--dry-run")
    assert result.exit_code == code, result.output
    assert said in result.stderr


def test_help_is_pinned() -> None:
    text = CliRunner().invoke(main, ["send-example", "--help"]).output
    for option in (
        *("--type", "--sep", "--kind", "--status", "--client", "--transaction", "--count", "--to"),
        *("--dry-run", "--yes", "--json"),
    ):
        assert option in text
    for line in (
        "0  published",
        "1  it would not reach",
        "2  wrong configuration",
        "3  Kafka did not answer",
    ):
        assert line in text
