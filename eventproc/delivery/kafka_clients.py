"""How every Kafka client of this project connects: one place for servers, security and time-outs."""

from __future__ import annotations

from typing import Any

from settings import Settings


def connection_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments that aiokafka's producer, consumer and admin client have in common."""
    kafka = settings.events.queue.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_server,
        "client_id": kafka.client_id or "eventproc",
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
    if kafka.uses_tokens:
        from eventproc.delivery.kafka_tokens import token_provider  # noqa: PLC0415 - only where tokens are used

        options["sasl_oauth_token_provider"] = token_provider(settings)
    elif kafka.uses_sasl:
        options["sasl_plain_username"] = kafka.username.get_secret_value() if kafka.username else None
        options["sasl_plain_password"] = kafka.password.get_secret_value() if kafka.password else None
    if kafka.security_protocol.endswith("SSL"):
        from eventproc.delivery.kafka_tls import kafka_ssl_context  # noqa: PLC0415 - only where TLS is used

        options["ssl_context"] = kafka_ssl_context(kafka)
    return options
