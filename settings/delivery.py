"""``delivery.*``: how events are delivered: who gets them, order, pace, retry, breaker, timeouts, egress."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from settings.fields import Count, HeaderValue, NameServers, Networks, ProxyUrl, Seconds, Secret, Section
from settings.relaxed import Choice


class RetrySettings(Section):
    """``delivery.retry.*``: one event's next attempt."""

    initial_seconds: Seconds
    max_seconds: Seconds
    retry_after_max_seconds: Annotated[float, Field(ge=0)]
    poison_attempts: Count
    unproven_max_hours: Annotated[float, Field(ge=0)]


class BreakerSettings(Section):
    """``delivery.breaker.*``: one destination's rest after failures."""

    failure_threshold: Count
    open_initial_seconds: Seconds
    open_max_seconds: Seconds


class ShadowSettings(Section):
    """``delivery.shadow.*``: what would have been sent."""

    retention_hours: Count


class DeliverySettings(Section):
    """``delivery.*``."""

    mode: Annotated[Literal["deliver", "shadow"], Choice()]
    shadow: ShadowSettings
    client_routing: Annotated[Literal["strict", "broadcast"], Choice()]
    shared_customers: bool
    skip_unchanged_customers: bool
    order: Annotated[Literal["as_received", "skip_stale"], Choice()]
    on_dead_letter: Annotated[Literal["continue", "hold_transaction"], Choice()]
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)]
    max_waiting: Count
    max_waiting_bytes: Annotated[int, Field(ge=1_048_576)] | None
    rate_limit_per_second: Annotated[float, Field(gt=0)] | None
    connect_timeout_seconds: Seconds
    request_timeout_seconds: Seconds
    response_excerpt_bytes: Annotated[int, Field(ge=0, le=65_536)]
    retry: RetrySettings
    breaker: BreakerSettings
    commit_interval_seconds: Seconds
    drain_timeout_seconds: Seconds
    worker_shutdown_timeout_seconds: Seconds
    stuck_after_seconds: Seconds
    allow_private_networks: bool
    allowed_networks: Networks
    name_servers: NameServers
    proxy_url: ProxyUrl | None
    proxy_password: Annotated[SecretStr | None, Secret("SECRET_DELIVERY_PROXY_PASSWORD")] = None
    http_client: Annotated[Literal["own", "aiohttp"], Choice()]
    user_agent: HeaderValue
