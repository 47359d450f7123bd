"""An anchor's configuration as environment variables, the way operators of the Anchor Platform write it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stellar_sdk import Keypair

TEST_SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
TEST_PUBLIC_KEY = Keypair.from_secret(TEST_SEED).public_key
CALLBACK_SECRET = "c21d1b0a-a-secret-of-more-than-32-bytes"
MORE_INFO_SECRET = "a-more-info-secret-of-more-than-32-bytes"


@dataclass(frozen=True, slots=True)
class Names:
    """Topics and group of one test, so that tests can share a broker."""

    source: str = "TRANSACTION"
    prefix: str = "eventproc."
    consumer_group: str = "eventproc"

    @classmethod
    def unique(cls) -> Names:
        """Names that nobody else uses."""
        mark = uuid.uuid4().hex[:8]
        return cls(f"TRANSACTION-{mark}", f"eventproc-{mark}.", f"eventproc-{mark}")

    def topic(self, destination: str) -> str:
        """An internal topic: of ``callback-api``, ``client.<name>.sep24``, ``invalid``, ``dead-letter``."""
        return self.prefix + destination


def noncustodial_client(
    name: str,
    wallet_url: str,
    *,
    domains: Iterable[str],
    seps: Iterable[str] = ("sep6", "sep24", "sep31", "sep12"),
) -> dict[str, Any]:
    """A client known by its domains, with one callback URL per SEP: ``<wallet_url>/<sep>``."""
    urls = {sep: f"{wallet_url}/{sep}" for sep in seps}
    return {"name": name, "type": "noncustodial", "domains": list(domains), "callback_urls": urls}


def custodial_client(
    name: str,
    wallet_url: str,
    *,
    signing_keys: Iterable[str],
    seps: Iterable[str] = ("sep6", "sep24", "sep31", "sep12"),
) -> dict[str, Any]:
    """A client known by its accounts, with one callback URL per SEP: ``<wallet_url>/<sep>``."""
    urls = {sep: f"{wallet_url}/{sep}" for sep in seps}
    return {"name": name, "type": "custodial", "signing_keys": list(signing_keys), "callback_urls": urls}


def anchor_env(
    bootstrap: str,
    *,
    business_url: str | None = None,
    clients: Iterable[Mapping[str, Any]] = (),
    names: Names = Names(),  # frozen
    partitions: int = 2,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables for a worker.

    Args:
        bootstrap: ``host:port`` of the broker.
        business_url: base URL of the business server, authenticated by JWT; None: not enabled.
        clients: as ``noncustodial_client`` and ``custodial_client`` make them.
        names: topics and consumer group.
        partitions: of each internal topic.
        extra: added to these or in place of them.
    """
    env = {
        "EVENTS_ENABLED": "true",
        "EVENTS_QUEUE_TYPE": "kafka",
        "EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": bootstrap,
        "EVENT_PROCESSOR_CLIENT_STATUS_CALLBACK_ENABLED": "true",
        "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "false" if business_url is None else "true",
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
        "SEP6_MORE_INFO_URL_BASE_URL": "http://localhost:8091/sep6/transaction/more_info",
        "SEP24_MORE_INFO_URL_BASE_URL": "http://localhost:8091/sep24/transaction/more_info",
        "SECRET_SEP6_MORE_INFO_URL_JWT_SECRET": MORE_INFO_SECRET,
        "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": MORE_INFO_SECRET,
        "CLIENTS_TYPE": "json",
        "CLIENTS_VALUE": json.dumps({"items": [dict(client) for client in clients]}),
        "TOPICS_SOURCE": names.source,
        "TOPICS_PREFIX": names.prefix,
        "TOPICS_CONSUMER_GROUP": names.consumer_group,
        "TOPICS_PARTITIONS": str(partitions),
        # The embedded broker answers a join after half the session timeout; and a killed worker is missed soon.
        "CONSUMER_SESSION_TIMEOUT_SECONDS": "6",
        "CONSUMER_HEARTBEAT_INTERVAL_SECONDS": "1",
        "WEB_HOST": "127.0.0.1",
        # Receivers of tests reject events before they have accepted one; test_unproven.py is about that.
        "DELIVERY_RETRY_UNPROVEN_MAX_HOURS": "0",
    }
    if business_url is not None:
        env |= {
            "CALLBACK_API_BASE_URL": business_url,
            "CALLBACK_API_AUTH_TYPE": "jwt",
            "SECRET_CALLBACK_API_AUTH_SECRET": CALLBACK_SECRET,
        }
    return env | dict(extra or {})
