"""``consumer.*``: how a worker takes part in the Kafka consumer group."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from settings.fields import Seconds, Secret, Section, Text, Url
from settings.relaxed import Choice

IsolationLevel = Literal["read_committed", "read_uncommitted"]


class OAuthBearerSettings(Section):
    """``consumer.oauthbearer.*``: where a token comes from, with ``sasl_mechanism: OAUTHBEARER``."""

    token_endpoint_url: Url | None
    client_id: Text | None
    scope: Text | None
    client_secret: Annotated[SecretStr | None, Secret("SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET")] = None


class ConsumerSettings(Section):
    """``consumer.*``."""

    isolation_level: Annotated[IsolationLevel, Choice()]
    session_timeout_seconds: Seconds
    heartbeat_interval_seconds: Seconds
    # One poll must stay far below the stream buffer (``agents/wiring.py``), or a full stream stops all
    # others.
    max_poll_records: Annotated[int, Field(ge=1, le=500)]
    fetch_max_wait_milliseconds: Annotated[int, Field(ge=1, le=1500)]
    group_instance_id: Text | None
    group_record_max_bytes: Annotated[int, Field(ge=4096, le=2**30)]
    connect_attempts_seconds: Seconds
    oauthbearer: OAuthBearerSettings
