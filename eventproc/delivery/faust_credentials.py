"""How Faust's own Kafka clients log in: ``connection_options`` in the form that Faust takes."""

from __future__ import annotations

from typing import Any

import faust
from faust.auth import OAuthCredentials

from eventproc.delivery.kafka_clients import connection_options
from settings import Settings


def credentials(settings: Settings) -> Any:
    """Return the login for Faust; None where brokers ask for none and TLS is off."""
    options = connection_options(settings)
    context = options.get("ssl_context")
    if "sasl_mechanism" not in options:
        return None if context is None else faust.SSLCredentials(context)
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=options["sasl_mechanism"],
        ssl_context=context,
    )
