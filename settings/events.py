"""``events.*``: whether events flow, and the Kafka cluster they flow through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, SecretStr

from settings.checks import refusal
from settings.fields import (
    BrokerList,
    Count,
    CountOrNone,
    FilePath,
    NoEffect,
    Seconds,
    Secret,
    Section,
    Text,
)
from settings.relaxed import Choice

_RETRIES = "sending is tried until the broker acknowledged: nothing is lost"
_LINGER = "a batch is sent as soon as it is gathered"
_BATCH = "batches follow the records read, not a size"


class KafkaSettings(Section):
    """``events.queue.kafka.*``: the brokers and how to be let in."""

    bootstrap_server: BrokerList
    client_id: Text | None
    retries: Annotated[CountOrNone, NoEffect(_RETRIES)]
    linger_ms: Annotated[CountOrNone, NoEffect(_LINGER)]
    batch_size: Annotated[Count, NoEffect(_BATCH)]
    poll_timeout_seconds: Annotated[Seconds, NoEffect("the consumer is woken by the broker")]
    security_protocol: Annotated[Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"], Choice()]
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], Choice()]
    ssl_verify_cert: bool
    ssl_keystore_location: FilePath | None
    ssl_truststore_location: FilePath | None

    username: Annotated[SecretStr | None, Secret("SECRET_EVENTS_QUEUE_KAFKA_USERNAME")] = None
    password: Annotated[SecretStr | None, Secret("SECRET_EVENTS_QUEUE_KAFKA_PASSWORD")] = None
    ssl_keystore_password: Annotated[SecretStr | None, Secret("SECRET_SSL_KEYSTORE_PASSWORD")] = None
    ssl_key_password: Annotated[SecretStr | None, Secret("SECRET_SSL_KEY_PASSWORD")] = None
    ssl_truststore_password: Annotated[SecretStr | None, Secret("SECRET_SSL_TRUSTSTORE_PASSWORD")] = None

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """The brokers one by one, each ``host:port``."""
        return tuple(self.bootstrap_server.split(","))

    @property
    def uses_sasl(self) -> bool:
        """Whether the brokers ask for a login."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tokens(self) -> bool:
        """Whether the login is a token, and not a user name and password."""
        return self.uses_sasl and self.sasl_mechanism == "OAUTHBEARER"

    @property
    def uses_ssl(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")


class MskSettings(Section):
    """``events.queue.msk.*``: Kafka as AWS sells it; the platform has these keys and no code for them."""

    bootstrap_server: BrokerList | None
    use_iam: bool
    client_id: Text | None
    retries: Annotated[CountOrNone, NoEffect(_RETRIES)]
    linger_ms: Annotated[CountOrNone, NoEffect(_LINGER)]
    batch_size: Annotated[Count, NoEffect(_BATCH)]


def _refuse_sqs(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() == "sqs":
        wrong = f"{value.strip()!r} is named by the Anchor Platform and implemented by none"
        raise refusal(wrong, "kafka or msk, with the platform publishing there")
    return value


class QueueSettings(Section):
    """``events.queue.*``. With ``msk``, ``kafka`` has what follows from ``msk``; see ``settings/msk.py``."""

    type: Annotated[Literal["kafka", "msk"], Choice(), BeforeValidator(_refuse_sqs)]
    kafka: KafkaSettings
    msk: MskSettings

    @property
    def uses_iam(self) -> bool:
        """Whether AWS's own tokens let us in."""
        return self.type == "msk" and self.msk.use_iam


class EventsSettings(Section):
    """``events.*``."""

    enabled: bool
    queue: QueueSettings
