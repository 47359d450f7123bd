"""``eventproc doctor`` on brokers and endpoints, whole and broken."""

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
from tests.servers.anchor_env import (
    CALLBACK_SECRET,
    TEST_PUBLIC_KEY,
    TEST_SEED,
    Names,
    anchor_env,
    noncustodial_client,
)
from tests.servers.both_brokers import both_brokers
from tests.servers.certificates import Authority
from tests.servers.command import invoke
from tests.servers.kafka import ApacheKafka, Broker, EmbeddedBroker, Record
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver
from tests.servers.static_site import static_site

AWAY = f"{LOOPBACK}:1"


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def run(env: Mapping[str, str], *arguments: str) -> Result:
    result = await invoke(env, "doctor", *arguments)
    assert TEST_SEED not in result.output
    assert CALLBACK_SECRET not in result.output
    return result


async def looked_at(
    env: Mapping[str, str], *arguments: str
) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """The exit code, and the checks by subject and name (the last of a name)."""
    result = await run(env, "--json", *arguments)
    found = json.loads(result.stdout)
    assert found["exit_code"] == result.exit_code
    assert sum(found["counts"].values()) == len(found["checks"])
    return result.exit_code, {(check["subject"], check["name"]): check for check in found["checks"]}


def wallet_env(wallet: Receiver, bootstrap: str, **options: Any) -> dict[str, str]:
    client = noncustodial_client("lobstr", wallet.url, domains=["lobstr.co"], seps=("sep24", "sep12"))
    return anchor_env(bootstrap, clients=[client], **options)


@both_brokers
async def test_before_the_first_start_all_is_well(
    broker: Broker, names: Names, wallet_server: Receiver, business_server: Receiver
) -> None:
    await broker.create_topics({names.source: 1})
    env = wallet_env(wallet_server, broker.bootstrap, names=names, business_url=business_server.url)
    code, checks = await looked_at(env)
    assert code == 0, [check for check in checks.values() if check["state"] == "problem"]
    assert {check["state"] for check in checks.values()} <= {"ok", "warning", "skipped"}
    assert checks[broker.bootstrap, "broker"]["state"] == "ok"
    assert (
        checks[names.topic("callback-api"), "topic"]["what"] == "is not there yet; the next worker makes it"
    )
    assert checks["client.lobstr.sep24", "answer"]["state"] == "ok"
    assert checks["callback-api", "answer"]["state"] == "ok"
    assert checks["this machine", "clock"]["state"] == "ok"
    assert {request.method for request in wallet_server.requests} == {"OPTIONS"}
    # Looking makes nothing.
    assert names.topic("callback-api") not in await broker.topics()


async def test_beside_a_worker_topics_and_group_are_found(
    apache_kafka: ApacheKafka, names: Names, wallet_server: Receiver, start_worker: StartWorker
) -> None:
    env = wallet_env(wallet_server, apache_kafka.bootstrap, names=names)
    await start_worker(env)
    code, checks = await looked_at(env)
    assert code == 0, [check for check in checks.values() if check["state"] == "problem"]
    assert checks[names.topic("client.lobstr.sep24"), "topic"]["what"] == "partitions 2, copies 1"
    assert checks[f"group {names.consumer_group}", "workers"]["what"] == "1 running"
    assert checks["kafka", "idempotent producer"]["state"] == "ok"
    assert checks["broker 1", "broker settings"]["state"] == "ok"
    record = checks[f"group {names.consumer_group}", "record"]
    assert (record["state"], record["what"].endswith("bytes with one worker")) == ("ok", True)
    code, checks = await looked_at(env | {"CONSUMER_GROUP_RECORD_MAX_BYTES": "1000000000"})
    assert code == 1
    assert (
        "is 1,000,000,000, and Kafka takes" in checks[f"group {names.consumer_group}", "record limit"]["what"]
    )


async def test_topics_that_are_not_as_planned_are_found(
    apache_kafka: ApacheKafka, names: Names, wallet_server: Receiver
) -> None:
    sink, customers = names.topic("client.lobstr.sep24"), names.topic("customers")
    await apache_kafka.create_topics({names.source: 1, customers: 1})
    await apache_kafka.create_topics({sink: 5}, {"max.message.bytes": "1000", "retention.ms": "60000"})
    code, checks = await looked_at(wallet_env(wallet_server, apache_kafka.bootstrap, names=names))
    assert code == 1
    assert checks[sink, "partitions"]["state"] == "warning"
    assert "5 partitions, planned 2" in checks[sink, "partitions"]["what"]
    assert checks[sink, "max.message.bytes"]["state"] == "problem"
    assert "keeps records 1m, planned for ever" in checks[sink, "retention"]["what"]
    assert "cleanup.policy is delete, planned compact" in checks[customers, "retention"]["what"]


async def test_records_that_a_new_group_would_deliver_are_told(
    apache_kafka: ApacheKafka, names: Names, wallet_server: Receiver
) -> None:
    await apache_kafka.create_topics({names.source: 1})
    await apache_kafka.publish(names.source, [Record(b"{}"), Record(b"{}")])
    _, checks = await looked_at(wallet_env(wallet_server, apache_kafka.bootstrap, names=names))
    offsets = checks[f"group {names.consumer_group}", "offsets"]
    assert offsets["state"] == "warning"
    assert "all its 2 records" in offsets["what"]
    assert (
        checks[f"group {names.consumer_group}", "workers"]["what"] == "none is running: nothing is delivered"
    )


async def test_without_a_broker_it_exits_with_3_and_still_looks_at_the_rest(wallet_server: Receiver) -> None:
    env = wallet_env(wallet_server, f"{AWAY},{LOOPBACK}:{free_port()}")
    code, checks = await looked_at(env, "--timeout", "5")
    assert code == 3
    assert checks[AWAY, "broker"]["state"] == "problem"
    assert checks["client.lobstr.sep24", "answer"]["state"] == "ok"


async def test_a_broker_that_does_not_let_us_in_is_a_problem_and_not_away(
    wallet_server: Receiver, tmp_path: Path
) -> None:
    with static_site({}, Authority.make(tmp_path).server()) as port:
        code, checks = await looked_at(wallet_env(wallet_server, f"{LOOPBACK}:{port}"))
    assert code == 1
    assert (
        "it speaks TLS, and events.queue.kafka.security_protocol is PLAINTEXT"
        in (checks[f"{LOOPBACK}:{port}", "broker"]["what"])
    )


async def test_one_broker_of_two_is_a_warning(
    embedded_broker: EmbeddedBroker, names: Names, wallet_server: Receiver
) -> None:
    await embedded_broker.create_topics({names.source: 1})
    env = wallet_env(wallet_server, f"{AWAY},{embedded_broker.bootstrap}", names=names)
    code, checks = await looked_at(env)
    assert code == 0
    assert checks[AWAY, "broker"]["state"] == "warning"


async def test_a_test_event_is_signed_and_marked(
    embedded_broker: EmbeddedBroker, names: Names, wallet_server: Receiver, business_server: Receiver
) -> None:
    await embedded_broker.create_topics({names.source: 1})
    env = wallet_env(wallet_server, embedded_broker.bootstrap, names=names, business_url=business_server.url)
    code, checks = await looked_at(env, "--send-test-event")
    assert code == 0, [check for check in checks.values() if check["state"] == "problem"]
    posts = [request for request in wallet_server.requests if request.method == "POST"]
    assert sorted(request.path for request in posts) == ["/sep12", "/sep24"]
    assert all(request.verified and str(request.event_id).startswith("example-") for request in posts)
    (to_business,) = [request for request in business_server.requests if request.method == "POST"]
    assert to_business.verified
    assert checks["client.lobstr.sep12", "test event"]["state"] == "ok"
    # Nothing of it went through Kafka.
    assert await embedded_broker.read_all(names.source) == []


async def test_an_endpoint_that_refuses_us_is_a_problem(
    embedded_broker: EmbeddedBroker, names: Names, wallet_server: Receiver
) -> None:
    await embedded_broker.create_topics({names.source: 1})
    wallet_server.respond = replies.always(replies.Answer(401, {}, b"who are \x1b[2Jyou"))
    env = wallet_env(wallet_server, embedded_broker.bootstrap, names=names)
    result = await run(env, "--send-test-event", "--quiet")
    assert result.exit_code == 1
    assert "problem  client.lobstr.sep24  test event: HTTP 401" in result.stdout
    assert "who are \\x1b[2Jyou" in result.stdout
    assert "\nok " not in result.stdout
    assert "2 problems" in result.stdout.splitlines()[-1]


async def test_a_private_authority_and_the_anchors_own_file_are_believed_where_told(
    embedded_broker: EmbeddedBroker, names: Names, tmp_path: Path
) -> None:
    authority = Authority.make(tmp_path)
    await embedded_broker.create_topics({names.source: 1})
    toml = {"/.well-known/stellar.toml": f'SIGNING_KEY="{TEST_PUBLIC_KEY}"'.encode()}
    async with Receiver(tls=authority.server(), host="localhost") as server:
        with static_site(toml, authority.server()) as port:
            env = anchor_env(
                embedded_broker.bootstrap,
                names=names,
                business_url=server.url,
                extra={"CALLBACK_API_CA_CERTIFICATE_PATH": str(authority.path)},
            )
            domain = ("--home-domain", f"localhost:{port}", "--ca-certificate", str(authority.path))
            code, checks = await looked_at(env, *domain)
            untrusting_code, untrusting = await looked_at(env, *domain[:2])
    assert code == 0, [check for check in checks.values() if check["state"] == "problem"]
    assert checks["callback-api", "TLS"]["state"] == "ok"
    assert checks["signing key", "stellar.toml"]["state"] == "ok"
    assert untrusting_code == 1
    assert untrusting["signing key", "stellar.toml"]["state"] == "problem"


async def test_many_endpoints_are_looked_at_side_by_side(
    embedded_broker: EmbeddedBroker, names: Names
) -> None:
    """Forty that take a second each: one after the other would take longer than the pytest timeout allows."""
    await embedded_broker.create_topics({names.source: 1})
    slow = replies.always(replies.Answer(200, delay_seconds=1.0))
    async with Receiver(respond=slow) as server:
        clients = [
            noncustodial_client(f"w{n}", f"{server.url}/{n}", domains=[f"w{n}.example.com"], seps=("sep24",))
            for n in range(40)
        ]
        code, checks = await looked_at(anchor_env(embedded_broker.bootstrap, names=names, clients=clients))
        assert code == 0
        assert 1 < server.max_concurrent <= 16
    assert sum(name == "answer" for _, name in checks) == 40


async def test_offline_asks_nobody(tmp_path: Path, wallet_server: Receiver) -> None:
    code, checks = await looked_at(wallet_env(wallet_server, AWAY), "--offline")
    assert code == 0
    assert set(checks) == {("configuration", "destinations"), ("kafka", "codecs")}
    assert wallet_server.count == 0
    env = wallet_env(
        wallet_server,
        AWAY,
        extra={
            "EVENTS_ENABLED": "false",
            "TOPICS_PARTITION": "3",
            "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL",
        },
    )
    (tmp_path / "trust.pem").write_text("no certificate")
    env["EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION"] = str(tmp_path / "trust.pem")
    code, checks = await looked_at(env, "--offline")
    assert code == 1
    assert checks["configuration", "events"]["state"] == "problem"
    assert "TOPICS_PARTITIONS?" in checks["configuration", "settings"]["what"]
    assert checks["kafka", "stores"]["state"] == "problem"


async def test_a_wrong_configuration_exits_with_2() -> None:
    result = await run({"EVENTS_ENABLED": "x"})
    assert result.exit_code == 2
    assert "events.enabled" in result.stderr


def test_help_is_pinned() -> None:
    text = CliRunner().invoke(main, ["doctor", "--help"]).output
    for option in (
        *("--offline", "--send-test-event", "--home-domain", "--ca-certificate", "--timeout", "--quiet"),
        "--json",
    ):
        assert option in text
    for line in ("0  no problem", "1  a problem", "2  wrong configuration", "3  no broker answers"):
        assert line in text
