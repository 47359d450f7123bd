"""One client's URL for one SEP: the SEP's body, signed with the anchor's key."""

from __future__ import annotations

from functools import partial

from pydantic import SecretStr

from eventproc.auth import Authenticator
from eventproc.auth.stellar_signature import StellarSignature
from eventproc.auth.succession import Succession
from eventproc.destinations.model import Destination, Endpoint
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.payloads import MoreInfoUrl, PayloadContext, Sep, client_body
from eventproc.payloads.spans import SpannedBody, spanned_event
from eventproc.records import Origin
from eventproc.signed_text import signed_host
from settings import Settings
from settings.sep import Sep6MoreInfoUrlSettings, Sep24MoreInfoUrlSettings
from settings.topic_names import topic_name

_SEP_BY_KEY = {"sep6": Sep.SEP6, "sep12": Sep.SEP12, "sep24": Sep.SEP24, "sep31": Sep.SEP31}


def client_destinations(settings: Settings) -> list[Destination]:
    """A destination for every callback URL; none when client callbacks are switched off."""
    seed = settings.sep10.signing_seed
    if not settings.event_processor.client_status_callback.enabled or seed is None:
        return []
    found = []
    for client in settings.clients:
        context = payload_context(settings, client.name)
        for key, url in client.callback_urls.items():
            destination = client_destination_id(client.name, key)
            found.append(
                Destination(
                    id=destination,
                    topic=topic_name(settings.topics.prefix, destination),
                    endpoint=Endpoint(url),
                    authenticator=_authenticator(settings, seed, signed_host(url)),
                    build_body=partial(_build_body, _SEP_BY_KEY[key], context),
                    build_from_span=partial(_build_from_span, _SEP_BY_KEY[key], context),
                    sends_customers=_SEP_BY_KEY[key] is Sep.SEP12,
                )
            )
    return found


def _authenticator(settings: Settings, seed: SecretStr, host: str) -> Authenticator:
    legacy = settings.client_status_callback.legacy_signature_header
    present = StellarSignature(seed.get_secret_value(), host, legacy_header=legacy)
    following, at = settings.sep10.signing_seed_next, settings.sep10.signing_seed_next_at
    if following is None or at is None:
        return present
    successor = StellarSignature(following.get_secret_value(), host, legacy_header=legacy)
    return Succession(present, successor, at.timestamp())


def client_endpoints(settings: Settings, client_name: str) -> dict[Sep, DestinationId]:
    """The destinations of one client by SEP, for routing."""
    urls = next(client.callback_urls for client in settings.clients if client.name == client_name)
    return {_SEP_BY_KEY[key]: client_destination_id(client_name, key) for key, _ in urls.items()}


def client_destination_id(client_name: str, key: str) -> DestinationId:
    """``client.<name>.sep24``."""
    return DestinationId(f"client.{client_name}.{key}")


def payload_context(settings: Settings, client_name: str) -> PayloadContext:
    """What bodies need beside the event: how to make ``more_info_url``, and whose it is."""
    sep6, sep24 = settings.sep6.more_info_url, settings.sep24.more_info_url
    return PayloadContext(_more_info(sep6), _more_info(sep24), client_name)


def _more_info(section: Sep6MoreInfoUrlSettings | Sep24MoreInfoUrlSettings) -> MoreInfoUrl | None:
    if section.jwt_secret is None:
        return None
    secret = section.jwt_secret.get_secret_value().encode()
    return MoreInfoUrl(section.base_url, secret, section.jwt_expiration, section.txn_fields)


def _build_body(sep: Sep, context: PayloadContext, event: Event, timestamp_ms: int, now: float) -> bytes:  # noqa: ARG001 - one signature for all
    return client_body(event, sep, context, now)


def _build_from_span(  # noqa: PLR0917 - as the type of Destination.build_from_span
    sep: Sep,
    context: PayloadContext,
    origin: Origin,
    value: bytes | None,
    timestamp_ms: int,  # noqa: ARG001 - one signature for all
    now: float,
) -> SpannedBody | None:
    event = spanned_event(origin, value)
    if event is None or event.transaction is None:
        return None
    return SpannedBody(client_body(event, sep, context, now), event.transaction.get("updated_at"))
