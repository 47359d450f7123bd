"""Rules on logging in to Kafka by a token: AWS's own, or one of an OAuth 2 token endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from settings.findings import Finding, Sources
from settings.model import Settings

_TYPE: Final = "events.queue.type"
_MECHANISM: Final = "events.queue.kafka.sasl_mechanism"
_OAUTH: Final = "consumer.oauthbearer"


def token_findings(settings: Settings, sources: Sources) -> Iterator[Finding]:
    """What is missing for the login that is chosen."""
    queue = settings.events.queue
    if queue.type == "msk" and queue.msk.bootstrap_server is None:
        wrong = f"is missing, and {_TYPE} is msk"
        yield Finding("events.queue.msk.bootstrap_server", wrong, "host:port of your MSK brokers", (_TYPE,))
    if queue.type == "kafka" and "events.queue.msk.use_iam" in sources.given and queue.msk.use_iam:
        wrong = f"is true, and {_TYPE} is kafka: it has no effect"
        yield Finding("events.queue.msk.use_iam", wrong, f"{_TYPE}: msk", (_TYPE,), is_warning=True)
    if queue.kafka.uses_tokens and not queue.uses_iam:
        yield from _client_credentials(settings)


def _client_credentials(settings: Settings) -> Iterator[Finding]:
    oauth = settings.consumer.oauthbearer
    needed = {
        "token_endpoint_url": (oauth.token_endpoint_url, "a URL like https://login.example.com/oauth2/token"),
        "client_id": (oauth.client_id, "the client's id at that endpoint"),
        "client_secret": (
            oauth.client_secret,
            "SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET in the environment or .env",
        ),
    }
    for name, (value, right) in needed.items():
        if value is None:
            wrong = f"is missing, and {_MECHANISM} is OAUTHBEARER"
            yield Finding(f"{_OAUTH}.{name}", wrong, right, (_MECHANISM,))
    if (url := oauth.token_endpoint_url) is not None and url.startswith("http://"):
        wrong = "is http: the client's secret crosses the network readable"
        yield Finding(f"{_OAUTH}.token_endpoint_url", wrong, "https://…", is_warning=True)
