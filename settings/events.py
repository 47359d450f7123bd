"""``events.*``: whether events flow, and the Kafka cluster they flow through."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import SecretStr

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


class KafkaSettings(Section):
    """``events.queue.kafka.*``: the brokers and how to be let in."""

    bootstrap_server: BrokerList
    client_id: Text | None
    retries: Annotated[
        CountOrNone, NoEffect("sending is tried until the broker acknowledged: nothing is lost")
    ]
    linger_ms: Annotated[CountOrNone, NoEffect("a batch is sent as soon as it is gathered")]
    batch_size: Annotated[Count, NoEffect("batches follow the records read, not a size")]
    poll_timeout_seconds: Annotated[Seconds, NoEffect("the consumer is woken by the broker")]
    security_protocol: Annotated[Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL"], Choice()]
    sasl_mechanism: Annotated[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Choice()]
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
        """Whether the brokers ask for a user name and password."""
        return self.security_protocol.startswith("SASL")

    @property
    def uses_ssl(self) -> bool:
        """Whether the connection is encrypted."""
        return self.security_protocol.endswith("SSL")


class QueueSettings(Section):
    """``events.queue.*``."""

    type: Annotated[Literal["kafka"], Choice()]
    kafka: KafkaSettings


class EventsSettings(Section):
    """``events.*``."""

    enabled: bool
    queue: QueueSettings
