"""The anchor's business server: every event, the platform's own body, JWT, API key or nothing."""

from __future__ import annotations

from typing import Final

from eventproc.auth import Authenticator, NoAuth
from eventproc.auth.api_key import ApiKeyAuth
from eventproc.auth.jwt import JwtAuth
from eventproc.destinations.model import Destination, Endpoint, TlsOptions
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.payloads import business_server_body
from eventproc.payloads.spans import SpannedBody, joined_body
from eventproc.records import Origin
from settings import Settings
from settings.topic_names import topic_name

DESTINATION_ID: Final = DestinationId("callback-api")


def business_server_destinations(settings: Settings) -> list[Destination]:
    """The one destination, or none when ``event_processor.callback_api_request.enabled`` is false."""
    if not settings.event_processor.callback_api_request.enabled:
        return []
    api = settings.callback_api
    tls = TlsOptions(
        verify=api.check_certificate,
        ca_path=api.ca_certificate_path,
        certificate_path=api.client_certificate_path,
        key_path=api.client_key_path,
    )
    return [
        Destination(
            id=DESTINATION_ID,
            topic=topic_name(settings.topics.prefix, DESTINATION_ID),
            endpoint=Endpoint(api.event_url, tls),
            authenticator=_authenticator(settings),
            build_body=_build_body,
            build_from_span=_build_from_span,
        )
    ]


def _build_body(event: Event, timestamp_ms: int, now: float) -> bytes:  # noqa: ARG001 - one signature for all
    return business_server_body(event, timestamp_ms)


def _build_from_span(
    origin: Origin,
    value: bytes | None,
    timestamp_ms: int,
    now: float,  # noqa: ARG001 - one signature for all
) -> SpannedBody | None:
    return joined_body(origin, value, timestamp_ms)


def _authenticator(settings: Settings) -> Authenticator:
    auth = settings.callback_api.auth
    if auth.type == "none" or auth.secret is None:
        return NoAuth()
    if auth.type == "jwt":
        secret = auth.secret.get_secret_value().encode()
        return JwtAuth(secret, auth.jwt.expiration_milliseconds, auth.jwt.http_header)
    return ApiKeyAuth(auth.secret.get_secret_value(), auth.api_key.http_header)
