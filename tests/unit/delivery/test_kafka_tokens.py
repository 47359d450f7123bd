"""A token for Kafka: renewed in time, kept while nothing better comes, and where it comes from."""

from __future__ import annotations

import base64
import time

import pytest

from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.kafka_tokens import (
    Token,
    TokenProvider,
    TokenRefusedError,
    TokenUnavailableError,
    fetch_by_client_credentials,
    fetch_from_aws,
    msk_region,
    token_claims,
)
from eventproc.errors import ConfigurationError, TokenError
from settings import Settings, load_settings
from tests.servers.token_kafka import AWS_KEY, AWS_SECRET, CLIENT_ID, CLIENT_SECRET, TokenEndpoint

OAUTH = {
    "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": "oauthbearer",
    "CONSUMER_OAUTHBEARER_TOKEN_ENDPOINT_URL": "http://127.0.0.1:1/token",
    "CONSUMER_OAUTHBEARER_CLIENT_ID": CLIENT_ID,
    "SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET": CLIENT_SECRET,
}


def oauth(endpoint_url: str) -> Settings:
    return load_settings(env=OAUTH | {"CONSUMER_OAUTHBEARER_TOKEN_ENDPOINT_URL": endpoint_url})


def msk(bootstrap: str) -> Settings:
    env = {"EVENTS_QUEUE_TYPE": "msk", "EVENTS_QUEUE_MSK_USE_IAM": "true"}
    return load_settings(env=env | {"EVENTS_QUEUE_MSK_BOOTSTRAP_SERVER": bootstrap})


class Site:
    """A source of tokens with a clock: each lives 100 s, or it fails."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.failure: TokenError | None = None
        self.provider = TokenProvider(self.fetch, lambda: self.now)

    async def fetch(self) -> Token:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Token(f"token-{self.asked}", self.now, self.now + 100)


async def test_a_token_is_kept_until_four_fifths_of_its_life_are_over() -> None:
    site = Site()
    seen = []
    for site.now in (1000.0, 1079.0, 1081.0, 1100.0, 1162.0):
        seen.append(await site.provider.token())

    assert seen == ["token-1", "token-1", "token-2", "token-2", "token-3"]


async def test_while_none_comes_the_old_one_is_used_as_long_as_it_is_good() -> None:
    site = Site()
    await site.provider.token()
    site.failure = TokenUnavailableError("away")

    site.now = 1099.0
    assert await site.provider.token() == "token-1"
    site.now = 1101.0
    with pytest.raises(TokenUnavailableError):
        await site.provider.token()
    site.failure = None
    site.now = 1103.0
    assert await site.provider.token() == f"token-{site.asked}"


async def test_a_refusal_stands_a_moment_so_that_many_connections_ask_once() -> None:
    site = Site()
    site.failure = TokenRefusedError("no")
    for _ in range(20):
        with pytest.raises(TokenRefusedError):
            await site.provider.token()
    assert site.asked == 1
    site.now += 1.5
    with pytest.raises(TokenRefusedError):
        await site.provider.token()
    assert site.asked == 2


async def test_client_credentials_get_a_token_that_lives_as_the_endpoint_says() -> None:
    async with TokenEndpoint() as endpoint:
        endpoint.life_seconds = 77
        token = await fetch_by_client_credentials(oauth(endpoint.url).consumer.oauthbearer)

    assert token.value == endpoint.given[0]
    assert token.expires_at - token.obtained_at == pytest.approx(77)
    assert token_claims(token.value)["sub"] == "eventproc"
    assert endpoint.forms == [{"grant_type": "client_credentials"}], "no scope unless one is set"


@pytest.mark.parametrize(
    ("status", "kind"), [(500, TokenUnavailableError), (429, TokenUnavailableError), (400, TokenRefusedError)]
)
async def test_an_answer_without_a_token_says_so_with_its_status(status: int, kind: type[TokenError]) -> None:
    async with TokenEndpoint() as endpoint:
        endpoint.status = status
        with pytest.raises(kind, match=f"HTTP {status} .temporarily_unavailable."):
            await fetch_by_client_credentials(oauth(endpoint.url).consumer.oauthbearer)


async def test_an_endpoint_that_nobody_listens_on_is_unavailable() -> None:
    with pytest.raises(TokenUnavailableError, match=r"no token from http://127\.0\.0\.1:1/token"):
        await fetch_by_client_credentials(oauth("http://127.0.0.1:1/token").consumer.oauthbearer)


async def test_aws_signs_a_token_that_is_no_jwt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", AWS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET)

    token = await fetch_from_aws("eu-central-1")

    url = base64.urlsafe_b64decode(token.value + "=" * (-len(token.value) % 4)).decode()
    assert url.startswith("https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&")
    assert AWS_KEY in url
    assert AWS_SECRET not in url
    assert 890 < token.expires_at - time.time() < 910
    assert token_claims(token.value) == {}


@pytest.mark.parametrize(
    ("bootstrap", "region"),
    [
        ("b-1.demo.w7j4hi.c25.kafka.us-east-1.amazonaws.com:9098", "us-east-1"),
        ("boot-a1.c1.kafka-serverless.eu-west-3.amazonaws.com:9098", "eu-west-3"),
        ("b-1-public.demo.w7j4hi.c25.kafka.ap-southeast-2.amazonaws.com:9198,b-2:9198", "ap-southeast-2"),
        ("kafka.internal.example:9098", "sa-east-1"),
    ],
)
def test_the_region_is_that_of_the_host_else_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, bootstrap: str, region: str
) -> None:
    monkeypatch.setenv("AWS_REGION", "sa-east-1")

    assert msk_region(msk(bootstrap)) == region


def test_a_region_that_nobody_names_is_a_mistake_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    with pytest.raises(ConfigurationError, match="set AWS_REGION"):
        connection_options(msk("kafka.internal.example:9098"))


def test_every_client_gets_the_same_login() -> None:
    by_oauth = connection_options(load_settings(env=OAUTH))
    by_iam = connection_options(msk("b-1.x.c2.kafka.us-east-1.amazonaws.com:9098"))

    assert by_oauth["security_protocol"] == "SASL_PLAINTEXT"
    assert by_iam["security_protocol"] == "SASL_SSL"
    assert by_iam["bootstrap_servers"] == "b-1.x.c2.kafka.us-east-1.amazonaws.com:9098"
    for options in (by_oauth, by_iam):
        assert options["sasl_mechanism"] == "OAUTHBEARER"
        assert isinstance(options["sasl_oauth_token_provider"], TokenProvider)
        assert "sasl_plain_password" not in options
