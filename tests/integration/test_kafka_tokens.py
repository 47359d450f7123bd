"""Kafka by SASL OAUTHBEARER: an OAuth 2 endpoint's tokens and AWS's, short sessions, and refusals by their reason."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from eventproc.delivery.kafka_access import LetIn, Refused, Unreachable, ask_for_access
from settings import load_settings
from tests.conftest import StartWorker, require_kafka
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.token_kafka import (
    AWS_KEY,
    AWS_REGION,
    AWS_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    SESSION_SECONDS,
    TokenEndpoint,
    TokenKafka,
)

pytestmark = pytest.mark.kafka

SOON_SECONDS = 60.0
Env = Mapping[str, str]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenKafka]:
    require_kafka()
    with TokenKafka(tmp_path_factory.mktemp("token-kafka")) as broker:
        yield broker


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint() as endpoint:
        yield endpoint


def login(kafka: TokenKafka, endpoint: TokenEndpoint, listener: str) -> dict[str, str]:
    """The variables that let us in."""
    if listener == "oauth":
        return {
            "EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": kafka.server("oauth"),
            "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "CONSUMER_OAUTHBEARER_TOKEN_ENDPOINT_URL": endpoint.url,
            "CONSUMER_OAUTHBEARER_CLIENT_ID": CLIENT_ID,
            "CONSUMER_OAUTHBEARER_SCOPE": "kafka",
            "SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET": CLIENT_SECRET,
        }
    return {
        "EVENTS_QUEUE_TYPE": "msk",
        "EVENTS_QUEUE_MSK_BOOTSTRAP_SERVER": kafka.server("aws"),
        "EVENTS_QUEUE_MSK_USE_IAM": "true",
        "EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION": str(kafka.authority.path),
        "AWS_REGION": AWS_REGION,
        "AWS_ACCESS_KEY_ID": AWS_KEY,
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("listener", ["oauth", "aws"])
async def test_a_worker_delivers_over_the_end_of_sessions_and_tokens(  # noqa: PLR0917 - fixtures
    kafka: TokenKafka,
    endpoint: TokenEndpoint,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    listener: str,
) -> None:
    env = anchor_env(
        kafka.bootstrap,
        business_url=business_server.url,
        names=names,
        extra=login(kafka, endpoint, listener),
    )
    worker = await start_worker(env)
    await worker.wait_ready(SOON_SECONDS)
    ends, sent = time.monotonic() + 2.5 * SESSION_SECONDS, 0

    while time.monotonic() < ends:
        await kafka.publish(names.source, [Record(event_value(f"e{sent}", f"t{sent % 5}"))])
        sent += 1
        await business_server.wait_for(sent, SOON_SECONDS)

    assert business_server.event_ids() == [f"e{number}" for number in range(sent)], "each once, in order"
    log = worker.log_text()
    assert CLIENT_SECRET not in log
    assert AWS_SECRET not in log
    assert not any(token in log for token in endpoint.given)
    if listener == "oauth":
        assert len(set(endpoint.given)) > 2, "renewed"
        assert {form["scope"] for form in endpoint.forms} == {"kafka"}
    await worker.terminate()


async def test_who_has_a_right_token_is_let_in(
    kafka: TokenKafka, endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for listener in ("oauth", "aws"):
        access = await ask(login(kafka, endpoint, listener), monkeypatch, tmp_path)
        assert isinstance(access, LetIn), access


@pytest.mark.parametrize(
    ("listener", "changed", "reason"),
    [
        (
            "oauth",
            {"SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET": "hunter2"},
            "HTTP 401 (invalid_client: Client authentication failed)",
        ),
        ("oauth", {"CONSUMER_OAUTHBEARER_CLIENT_ID": "other"}, "check consumer.oauthbearer.client_id"),
        ("aws", {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, 'accept our token: {"status":"invalid_token"'),
        ("aws", {"AWS_REGION": "us-east-1"}, 'accept our token: {"status":"invalid_token"'),
        ("aws", {"AWS_ACCESS_KEY_ID": ""}, "no credentials were found"),
    ],
)
async def test_a_refusal_is_reported_with_its_reason(  # noqa: PLR0917 - fixtures and parameters
    kafka: TokenKafka,
    endpoint: TokenEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    listener: str,
    changed: dict[str, str],
    reason: str,
) -> None:
    access = await ask(login(kafka, endpoint, listener) | changed, monkeypatch, tmp_path)

    assert isinstance(access, Refused), access
    assert reason in access.problem
    assert not any(secret in access.problem for secret in (CLIENT_SECRET, AWS_SECRET, "hunter2"))


async def test_a_token_that_the_broker_does_not_accept_is_reported_with_what_it_says(
    kafka: TokenKafka, endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint.claims = {"iss": "https://login.example", "aud": "other"}  # no subject

    access = await ask(login(kafka, endpoint, "oauth"), monkeypatch, tmp_path)

    assert isinstance(access, Refused), access
    assert 'accept our token: {"status":"invalid_token"' in access.problem
    assert "iss https://login.example, aud other" in access.problem
    assert not any(token in access.problem for token in endpoint.given)


async def test_an_endpoint_that_is_away_may_come_back(
    kafka: TokenKafka, endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint.status = 503

    access = await ask(login(kafka, endpoint, "oauth"), monkeypatch, tmp_path)

    assert isinstance(access, Unreachable), access
    assert f"no token from {endpoint.url}: HTTP 503 (temporarily_unavailable)" in access.problem


async def ask(env: Env, monkeypatch: pytest.MonkeyPatch, folder: Path) -> object:
    """What a preflight learns; AWS's library looks into the process's environment."""
    for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.setenv(name, env.get(name, ""))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    (folder / ".env").touch()
    return await ask_for_access(load_settings(None, {"EVENTS_ENABLED": "true", **env}, folder / ".env"))
