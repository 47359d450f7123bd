"""Every way into a real Kafka, and every refusal: said by its cause, at once, with exit code 2, without a secret."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from eventproc.delivery.java_keystore import JavaKeyStoreError, read_java_key_store, unlock_key
from eventproc.delivery.kafka_tls import KeyStoreError, kafka_ssl_context
from eventproc.delivery.preflight import preflight
from settings import Settings, load_settings
from tests.conftest import require_kafka
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.java_stores import convert_key_store, make_trust_store
from tests.servers.kafka_client import Record
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.receiver import Receiver
from tests.servers.secure_kafka import ALL_MECHANISMS, PASSWORD, USER, SecureKafka
from tests.servers.worker import WorkerProcess

pytestmark = pytest.mark.kafka

STORE_PASSWORD = "a-store-password-4242"
KEY_PASSWORD = "a-key-password-2323"
WRONG = "not-the-password-at-all"
SECRETS = (USER, PASSWORD, STORE_PASSWORD, KEY_PASSWORD, WRONG)
LONG_SECONDS = 300
"""How long a broker may stay away. None of the tests comes near it: a refusal is not waited for."""
PROMPT_SECONDS = 20

Env = Mapping[str, str]


@dataclass(frozen=True)
class Site:
    """The broker, the stores for it, and a folder of the test's own."""

    kafka: SecureKafka
    stores: Path
    folder: Path

    def server(self, listener: str) -> str:
        return self.kafka.bootstrap if listener == "plaintext" else self.kafka.server(listener)

    def located(self, env: Env) -> dict[str, str]:
        """With the stores' names made paths."""
        return {
            name: str(self.stores / value) if value and name.endswith("STORE_LOCATION") else value
            for name, value in env.items()
        }

    def settings(self, bootstrap: str, env: Env) -> Settings:
        (self.folder / ".env").touch()
        return load_settings(None, anchor_env(bootstrap, extra=self.located(env)), self.folder / ".env")

    async def look(self, bootstrap: str, env: Env) -> tuple[int, float]:
        """The preflight of a worker: its exit code and how long it took."""
        began = time.monotonic()
        try:
            await preflight(self.settings(bootstrap, env), [], LOOPBACK, free_port())
        except SystemExit as ended:
            return int(ended.code or 0), time.monotonic() - began
        return 0, time.monotonic() - began


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    require_kafka()
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        yield broker


@pytest.fixture(scope="module")
def stores(kafka: SecureKafka, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    client = kafka.authority.identity(["eventproc"])
    client.write_pem(folder / "client.pem")
    client.write_pem(folder / "client-locked.pem", KEY_PASSWORD)
    p12 = client.write_pkcs12(folder / "client.p12", STORE_PASSWORD)
    convert_key_store(p12, folder / "client.jks", "JKS", STORE_PASSWORD, KEY_PASSWORD)
    convert_key_store(p12, folder / "client.jceks", "JCEKS", STORE_PASSWORD, KEY_PASSWORD)
    kafka.authority.identity(["eventproc"], days=-3).write_pem(folder / "client-expired.pem")
    kafka.other_authority.identity(["eventproc"]).write_pem(folder / "client-other.pem")
    (folder / "trust.pem").write_bytes(kafka.authority.path.read_bytes())
    (folder / "trust-other.pem").write_bytes(kafka.other_authority.path.read_bytes())
    make_trust_store(folder / "trust.jks", "JKS", STORE_PASSWORD, kafka.authority.path)
    make_trust_store(folder / "trust.p12", "PKCS12", STORE_PASSWORD, kafka.authority.path)
    return folder


@pytest.fixture
def site(kafka: SecureKafka, stores: Path, tmp_path: Path) -> Site:
    return Site(kafka, stores, tmp_path)


def way_in(protocol: str, mechanism: str = "PLAIN", **more: str) -> dict[str, str]:
    """The variables for a protocol, right ones, with more keys of ``events.queue.kafka`` by name."""
    env = {
        "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": protocol,
        "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": mechanism,
        "EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION": "trust.pem",
        "SECRET_SSL_TRUSTSTORE_PASSWORD": STORE_PASSWORD,
        "SECRET_SSL_KEYSTORE_PASSWORD": STORE_PASSWORD,
        "CONSUMER_CONNECT_ATTEMPTS_SECONDS": str(LONG_SECONDS),
    }
    if protocol.startswith("SASL"):
        env |= {
            "SECRET_EVENTS_QUEUE_KAFKA_USERNAME": USER,
            "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": PASSWORD,
        }
    return env | {f"EVENTS_QUEUE_KAFKA_{name.upper()}": value for name, value in more.items()}


def told(text: str) -> list[str]:
    """The secrets in a text."""
    clear = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()  # PLAIN, as it is sent
    return [secret for secret in (*SECRETS, clear) if secret in text]


# The ways in


@pytest.mark.parametrize("mechanism", ALL_MECHANISMS)
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
async def test_every_mechanism_lets_us_in(site: Site, protocol: str, mechanism: str) -> None:
    code, _ = await site.look(site.server(protocol.lower()), way_in(protocol, mechanism))
    assert code == 0


@pytest.mark.parametrize("store", ["trust.pem", "trust.p12", "trust.jks"])
async def test_every_trust_store_lets_us_in(site: Site, store: str) -> None:
    code, _ = await site.look(site.server("ssl"), way_in("SSL", ssl_truststore_location=store))
    assert code == 0


@pytest.mark.parametrize("store", ["client.pem", "client-locked.pem", "client.p12", "client.jks"])
@pytest.mark.parametrize(("listener", "protocol"), [("mtls", "SSL"), ("sasl_mtls", "SASL_SSL")])
async def test_every_key_store_lets_us_in_where_a_certificate_is_asked_for(
    site: Site, listener: str, protocol: str, store: str
) -> None:
    env = way_in(protocol, ssl_keystore_location=store)
    if store in {"client-locked.pem", "client.jks"}:
        env["SECRET_SSL_KEY_PASSWORD"] = KEY_PASSWORD
    code, _ = await site.look(site.server(listener), env)
    assert code == 0


@pytest.mark.parametrize("listener", ["ssl", "expired", "other_name", "other_authority", "self_signed"])
async def test_without_verification_any_certificate_is_believed(site: Site, listener: str) -> None:
    env = way_in("SSL", ssl_truststore_location="nowhere.pem", ssl_verify_cert="false")
    code, _ = await site.look(site.server(listener), env)
    assert code == 0


async def test_one_server_that_lets_us_in_is_enough(site: Site) -> None:
    servers = f"{LOOPBACK}:{free_port()},{site.server('expired')},{site.server('ssl')}"
    code, _ = await site.look(servers, way_in("SSL"))
    assert code == 0


# The refusals


@dataclass(frozen=True)
class Refusal:
    """A way in that is wrong in one thing, and what has to be said of it."""

    listener: str
    env: Env
    said: tuple[str, ...]


USERNAME_OR_PASSWORD = (
    "user name or password is wrong",
    "SECRET_EVENTS_QUEUE_KAFKA_USERNAME",
    "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD",
)
UNKNOWN = ("from nobody we believe", "put its authority into events.queue.kafka.ssl_truststore_location")
OUR_CERTIFICATE = (
    "does not take our certificate",
    "CN=eventproc",
    "events.queue.kafka.ssl_keystore_location",
)

REFUSALS = {
    **{
        f"wrong {what}, {protocol} {mechanism}": Refusal(
            protocol.lower(),
            way_in(protocol, mechanism) | {f"SECRET_EVENTS_QUEUE_KAFKA_{variable}": WRONG},
            (*USERNAME_OR_PASSWORD, mechanism),
        )
        for protocol in ("SASL_PLAINTEXT", "SASL_SSL")
        for mechanism in ALL_MECHANISMS
        for what, variable in (("password", "PASSWORD"), ("user", "USERNAME"))
    },
    "mechanism that the broker lacks": Refusal(
        "scram_512_only",
        way_in("SASL_SSL", "SCRAM-SHA-256"),
        ("it takes SCRAM-SHA-512", "events.queue.kafka.sasl_mechanism is SCRAM-SHA-256"),
    ),
    "authority that is not ours": Refusal("other_authority", way_in("SSL"), UNKNOWN),
    "trust store of another authority": Refusal(
        "sasl_ssl", way_in("SASL_SSL", ssl_truststore_location="trust-other.pem"), UNKNOWN
    ),
    "system's authorities": Refusal("ssl", way_in("SSL", ssl_truststore_location=""), UNKNOWN),
    "self-signed": Refusal("self_signed", way_in("SSL"), UNKNOWN),
    "expired": Refusal("expired", way_in("SSL"), ("has expired", "renew it at the broker")),
    "other host": Refusal("other_name", way_in("SSL"), ("is not for this name", "subjectAltName")),
    "advertised by another name": Refusal(
        "advertised_by_address",
        way_in("SSL"),
        ("not the broker as it advertises itself", f"{LOOPBACK}:", "is not for this address"),
    ),
    "no certificate of ours": Refusal(
        "mtls",
        way_in("SSL"),
        ("ends the TLS handshake", "asks for a certificate", "set events.queue.kafka.ssl_keystore_location"),
    ),
    "no certificate of ours, and a login": Refusal(
        "sasl_mtls",
        way_in("SASL_SSL"),
        ("ends the TLS handshake", "set events.queue.kafka.ssl_keystore_location"),
    ),
    "our certificate expired": Refusal(
        "mtls",
        way_in("SSL", ssl_keystore_location="client-expired.pem"),
        (*OUR_CERTIFICATE, "expired on"),
    ),
    "our certificate of another authority": Refusal(
        "mtls",
        way_in("SSL", ssl_keystore_location="client-other.pem"),
        (*OUR_CERTIFICATE, "valid until"),
    ),
    **{
        f"{protocol} on a port for {listener}": Refusal(
            listener, way_in(protocol), (*said, f"security_protocol is {protocol}")
        )
        for listener, protocol, said in (
            ("ssl", "PLAINTEXT", ("it speaks TLS", "set it to SSL or SASL_SSL")),
            ("mtls", "PLAINTEXT", ("it speaks TLS", "set it to SSL or SASL_SSL")),
            ("sasl_ssl", "SASL_PLAINTEXT", ("it speaks TLS", "set it to SSL or SASL_SSL")),
            ("plaintext", "SSL", ("it speaks no TLS", "set it to PLAINTEXT")),
            ("plaintext", "SASL_SSL", ("it speaks no TLS", "set it to PLAINTEXT")),
            ("sasl_plaintext", "SASL_SSL", ("it speaks no TLS", "set it to SASL_PLAINTEXT")),
            ("plaintext", "SASL_PLAINTEXT", ("it has no SASL", "set it to PLAINTEXT")),
            ("ssl", "SASL_SSL", ("it has no SASL", "set it to SSL")),
            (
                "sasl_plaintext",
                "PLAINTEXT",
                ("asks for a login", "PLAIN, SCRAM-SHA-256", "to SASL_PLAINTEXT"),
            ),
            ("sasl_ssl", "SSL", ("asks for a login", "PLAIN, SCRAM-SHA-256", "to SASL_SSL")),
        )
    },
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refusal_is_said_by_its_cause_and_ends_with_2_at_once(
    site: Site, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    server = site.server(refusal.listener)
    code, seconds = await site.look(server, refusal.env)
    said = capsys.readouterr().err
    assert code == 2, said
    assert seconds < PROMPT_SECONDS
    assert said.count("\n") == 1, said
    assert said.startswith("eventproc: Kafka does not let us in: ")
    assert server in said
    assert [words for words in refusal.said if words not in said] == [], said
    assert told(said) == []


async def test_a_broker_that_is_away_is_waited_for_and_ends_with_3(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    env = way_in("SASL_SSL") | {"CONSUMER_CONNECT_ATTEMPTS_SECONDS": "1.5"}
    code, _ = await site.look(f"{LOOPBACK}:{free_port()}", env)
    assert code == 3
    waiting, ended = capsys.readouterr().err.splitlines()
    assert "waiting up to 1.5 s" in waiting
    assert "no Kafka broker answered" in ended


# Stores that do not open


@pytest.mark.parametrize(
    ("store", "env", "said"),
    [
        ("trust.jks", {"SECRET_SSL_TRUSTSTORE_PASSWORD": WRONG}, "SECRET_SSL_TRUSTSTORE_PASSWORD"),
        ("trust.p12", {"SECRET_SSL_TRUSTSTORE_PASSWORD": WRONG}, "SECRET_SSL_TRUSTSTORE_PASSWORD"),
        ("client.jks", {"SECRET_SSL_KEYSTORE_PASSWORD": WRONG}, "SECRET_SSL_KEYSTORE_PASSWORD"),
        ("client.jks", {"SECRET_SSL_KEY_PASSWORD": WRONG}, "SECRET_SSL_KEY_PASSWORD"),
        ("client.jks", {}, "SECRET_SSL_KEY_PASSWORD"),
        ("client.jceks", {}, "-deststoretype PKCS12"),
    ],
)
async def test_a_java_store_that_does_not_open_is_named_with_the_way_out(
    site: Site, store: str, env: Env, said: str
) -> None:
    setting = f"ssl_{'trust' if store.startswith('trust') else 'key'}store_location"
    settings = site.settings("localhost:1", way_in("SSL", **{setting: store}) | dict(env))
    with pytest.raises(KeyStoreError) as caught:
        kafka_ssl_context(settings.events.queue.kafka)
    message = str(caught.value)
    assert message.startswith(f"events.queue.kafka.{setting}: {site.stores / store}: ")
    assert said in message
    assert told(message) == []


@pytest.mark.parametrize("store", ["trust.jks", "trust.p12"])
async def test_a_trust_store_is_no_key_store(site: Site, store: str) -> None:
    settings = site.settings("localhost:1", way_in("SSL", ssl_keystore_location=store))
    with pytest.raises(KeyStoreError, match="there is no private key in it"):
        kafka_ssl_context(settings.events.queue.kafka)


def test_a_damaged_jks_store_is_an_error_of_ours_wherever_the_damage_is(stores: Path) -> None:
    raw = (stores / "client.jks").read_bytes()
    whole = read_java_key_store(raw, STORE_PASSWORD)
    assert whole.locked_key is not None
    unlock_key(whole.locked_key, KEY_PASSWORD)
    for at in range(len(raw)):
        damaged = raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]
        with pytest.raises(JavaKeyStoreError):
            read_java_key_store(damaged, STORE_PASSWORD)
        for store in (damaged, raw[:at]):  # without a password only the form can tell
            with contextlib.suppress(JavaKeyStoreError):
                found = read_java_key_store(store, None)
                unlock_key(found.locked_key or b"", KEY_PASSWORD)


# Whole workers and commands


@dataclass(frozen=True)
class Family:
    """A way in for a whole worker."""

    listener: str
    env: Env


OWN_KEY = {"SECRET_SSL_KEY_PASSWORD": KEY_PASSWORD}
FAMILIES = {
    "SASL_PLAINTEXT, SCRAM-SHA-256": Family("sasl_plaintext", way_in("SASL_PLAINTEXT", "SCRAM-SHA-256")),
    "SASL_SSL, SCRAM-SHA-512, PKCS12": Family(
        "sasl_ssl", way_in("SASL_SSL", "SCRAM-SHA-512", ssl_truststore_location="trust.p12")
    ),
    "SASL_SSL, PLAIN, JKS, our certificate": Family(
        "sasl_mtls",
        way_in("SASL_SSL", ssl_truststore_location="trust.jks", ssl_keystore_location="client.jks") | OWN_KEY,
    ),
    "SSL, PEM, our certificate": Family(
        "mtls", way_in("SSL", ssl_keystore_location="client-locked.pem") | OWN_KEY
    ),
}


def run(env: Env, *arguments: str) -> Result:
    """A command in this process, with exactly this environment."""
    return CliRunner().invoke(main, arguments, obj=CliContext(environment=env), catch_exceptions=False)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
async def test_an_event_goes_all_the_way(
    site: Site, names: Names, business_server: Receiver, wallet_server: Receiver, family: Family
) -> None:
    env = anchor_env(
        site.server(family.listener),
        business_url=business_server.url,
        clients=[noncustodial_client("acme", wallet_server.url, domains=["acme.example.com"])],
        names=names,
        extra=site.located(family.env),
    )
    async with WorkerProcess(env, options=["-l", "debug"]) as worker:
        await worker.wait_ready(60)
        transaction = {
            "id": "t1",
            "sep": "24",
            "kind": "deposit",
            "status": "completed",
            "client_name": "acme",
        }
        event = {"type": "transaction_status_changed", "id": "e1", "sep": "24", "transaction": transaction}
        await site.kafka.publish(names.source, [Record(json.dumps(event).encode(), key=b"e1")])
        for receiver in (business_server, wallet_server):
            (request,) = await receiver.wait_for(1, 30)
            assert request.event_id == "e1"
            assert receiver.unverified == []
        code, _ = await worker.terminate(40)
        log = worker.log_text()
    assert code == 0, log
    for topic in (names.source, names.topic("callback-api"), names.topic("client.acme.sep24")):
        committed = await site.kafka.committed(names.consumer_group, topic)
        assert sum(one.offset for one in committed.values()) == 1
    assert told(log) == []
    for arguments in (
        ["deadletter", "list"],
        ["destinations", "pause", "callback-api", "--reason", "a look", "--yes"],
    ):
        done = await asyncio.to_thread(run, env, *arguments)
        assert done.exit_code == 0, done.output


async def test_a_worker_that_is_refused_ends_with_2_and_says_why(site: Site) -> None:
    wrong = way_in("SASL_SSL", "SCRAM-SHA-512") | {"SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": WRONG}
    env = anchor_env(site.server("sasl_ssl"), extra=site.located(wrong))
    async with WorkerProcess(env, options=["-l", "debug"]) as worker:
        code = await worker.wait(60)
        log = worker.log_text()
    assert code == 2
    assert "Kafka does not let us in: localhost:" in log
    assert "Traceback" not in log
    assert told(log) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": WRONG}, "user name or password is wrong"),
        ({"SECRET_SSL_TRUSTSTORE_PASSWORD": WRONG}, "events.queue.kafka.ssl_truststore_location"),
    ],
)
@pytest.mark.parametrize(
    "arguments",
    [["deadletter", "list"], ["destinations", "pause", "callback-api", "--reason", "a look", "--yes"]],
)
def test_a_command_that_is_refused_ends_with_2_and_says_why(
    site: Site, arguments: list[str], wrong: Env, said: str
) -> None:
    env = site.located(way_in("SASL_SSL", "SCRAM-SHA-512", ssl_truststore_location="trust.p12"))
    done = run(
        anchor_env(site.server("sasl_ssl"), business_url="http://127.0.0.1:9", extra=env | dict(wrong)),
        *arguments,
    )
    assert done.exit_code == 2
    assert said in done.stderr
    assert told(done.output) == []


def test_the_check_of_the_configuration_opens_the_stores(site: Site) -> None:
    right = site.located(way_in("SSL", ssl_truststore_location="trust.jks"))
    env = anchor_env("localhost:1", business_url="http://127.0.0.1:9", extra=right)
    assert run(env, "config", "check").exit_code == 0
    done = run(env | {"SECRET_SSL_TRUSTSTORE_PASSWORD": WRONG}, "config", "check")
    assert done.exit_code == 2
    assert f"events.queue.kafka.ssl_truststore_location: {site.stores / 'trust.jks'}: " in done.stderr
    assert told(done.output) == []
