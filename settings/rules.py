"""Rules that span keys, and what is worth a warning.

Each rule names the keys it looks at, so that a key already found wrong is not reported a second time through
another.
"""

from __future__ import annotations

from collections.abc import Iterator

from settings.business_server_rules import (
    ENABLED,
    business_server_findings,
    empty_addresses,
    is_forgotten_default,
)
from settings.findings import Finding, Sources, fits_header, missing_file, short_secret
from settings.model import Settings
from settings.problems import shown
from settings.token_rules import token_findings
from settings.topic_names import collisions, topic_name
from settings.urls import parse_http_url

ADMIN_TOKEN_CHARACTERS = 16
"""It opens what moves events and shows them, and the pages may be reached by many."""


def findings(settings: Settings, sources: Sources) -> Iterator[Finding]:
    """Everything the rules find. ``settings`` are complete; keys found wrong before have their defaults."""
    has_callback_urls = sources.has_callback_urls
    yield from empty_addresses(settings, sources)
    yield from _kafka(settings, sources)
    yield from business_server_findings(settings, sources)
    yield from _signing(settings, has_callback_urls=has_callback_urls)
    yield from _ordered_pairs(settings)
    yield from _topic_names(settings)
    yield from _more_info(settings)
    yield from _shared_identities(settings)
    yield from _nobody_served(settings, sources)
    yield from _shadow(settings)
    yield from _web(settings)
    yield from _proxy(settings)


def _kafka(settings: Settings, sources: Sources) -> Iterator[Finding]:
    prefix, kafka = "events.queue.kafka", settings.events.queue.kafka
    protocol = f"{prefix}.security_protocol"
    yield from token_findings(settings, sources)
    if kafka.uses_sasl and not kafka.uses_tokens:
        for name, secret in (("username", kafka.username), ("password", kafka.password)):
            if secret is None:
                wrong = f"is missing, and {protocol} is {kafka.security_protocol}"
                variable = f"SECRET_EVENTS_QUEUE_KAFKA_{name.upper()}"
                yield Finding(
                    f"{prefix}.{name}", wrong, f"{variable} in the environment or .env", looked_at=(protocol,)
                )
    if kafka.uses_ssl:
        stores = ["ssl_keystore_location", *(["ssl_truststore_location"] if kafka.ssl_verify_cert else [])]
        for name in stores:
            yield from missing_file(f"{prefix}.{name}", getattr(kafka, name), (protocol,))
    yield from _weak_kafka(settings)


def _weak_kafka(settings: Settings) -> Iterator[Finding]:
    prefix, kafka = "events.queue.kafka", settings.events.queue.kafka
    if kafka.uses_ssl and not kafka.ssl_verify_cert:
        wrong = "is false: whoever stands between here and the brokers can read and change everything"
        right = "true, with the authority's trust store"
        yield Finding(f"{prefix}.ssl_verify_cert", wrong, right, is_warning=True)
    if kafka.uses_sasl and not kafka.uses_ssl:
        login = {"PLAIN": "the password and ", "OAUTHBEARER": "tokens and "}.get(kafka.sasl_mechanism, "")
        read = f"{login}all events"
        wrong = f"is {kafka.security_protocol} with {kafka.sasl_mechanism}: {read} cross the network readable"
        yield Finding(f"{prefix}.security_protocol", wrong, "SASL_SSL", is_warning=True)


def _signing(settings: Settings, *, has_callback_urls: bool) -> Iterator[Finding]:
    enabled = "event_processor.client_status_callback.enabled"
    signs = settings.event_processor.client_status_callback.enabled and has_callback_urls
    if signs and settings.sep10.signing_seed is None:
        wrong = "is missing, and a client has a callback URL"
        right = "SECRET_SEP10_SIGNING_SEED in the environment or .env"
        yield Finding("sep10.signing_seed", wrong, right, looked_at=(enabled,))
    seed, at = "sep10.signing_seed_next", "sep10.signing_seed_next_at"
    if settings.sep10.signing_seed_next is None and settings.sep10.signing_seed_next_at is not None:
        wrong, right = (
            f"is missing, and {at} is set",
            "SECRET_SEP10_SIGNING_SEED_NEXT in the environment or .env",
        )
        yield Finding(seed, wrong, right, looked_at=(at,))
    if settings.sep10.signing_seed_next is not None and settings.sep10.signing_seed_next_at is None:
        wrong = "is missing, so SECRET_SEP10_SIGNING_SEED_NEXT is not used"
        yield Finding(at, wrong, "from when on it signs, like 2026-12-01T10:00:00Z", (seed,), is_warning=True)


def _ordered_pairs(settings: Settings) -> Iterator[Finding]:
    delivery, consumer = settings.delivery, settings.consumer
    pairs: tuple[tuple[str, float, str, float], ...] = (
        ("delivery.max_waiting", delivery.max_waiting, "delivery.max_in_flight", delivery.max_in_flight),
        (
            "delivery.retry.max_seconds",
            delivery.retry.max_seconds,
            "delivery.retry.initial_seconds",
            delivery.retry.initial_seconds,
        ),
        (
            "delivery.breaker.open_max_seconds",
            delivery.breaker.open_max_seconds,
            "delivery.breaker.open_initial_seconds",
            delivery.breaker.open_initial_seconds,
        ),
        (
            "delivery.request_timeout_seconds",
            delivery.request_timeout_seconds,
            "delivery.connect_timeout_seconds",
            delivery.connect_timeout_seconds,
        ),
        (
            "delivery.worker_shutdown_timeout_seconds",
            delivery.worker_shutdown_timeout_seconds,
            "delivery.drain_timeout_seconds",
            delivery.drain_timeout_seconds,
        ),
    )
    for larger_key, larger, smaller_key, smaller in pairs:
        if larger < smaller:
            wrong = f"{larger:g} is less than {smaller_key}, {smaller:g}"
            yield Finding(larger_key, wrong, f"{smaller:g} or more", looked_at=(smaller_key,))
    if consumer.heartbeat_interval_seconds * 3 > consumer.session_timeout_seconds:
        session = "consumer.session_timeout_seconds"
        wrong = f"{consumer.heartbeat_interval_seconds:g} is more than a third of {session}"
        right = f"{consumer.session_timeout_seconds / 3:g} or less"
        yield Finding("consumer.heartbeat_interval_seconds", wrong, right, looked_at=(session,))


def _topic_names(settings: Settings) -> Iterator[Finding]:
    topics = settings.topics
    if topics.source.startswith(topics.prefix):
        wrong = f"{shown(topics.prefix)} also begins the name of topics.source, {shown(topics.source)}"
        yield Finding("topics.prefix", wrong, "a prefix for our topics alone", looked_at=("topics.source",))
    destinations = [
        (topic_name(topics.prefix, f"client.{client.name}.{sep}"), client.name)
        for client in settings.clients
        for sep, _ in client.callback_urls.items()
    ]
    for owner, other in collisions(destinations):
        both = f"{shown(other)} and {shown(owner)}"
        wrong = f"{both} would have one topic for Kafka, which does not tell . and _ apart"
        yield Finding("clients.name", wrong, "names that differ in more than . and _")


def _more_info(settings: Settings) -> Iterator[Finding]:
    if not settings.event_processor.client_status_callback.enabled:
        return
    for sep, secret in (
        ("sep6", settings.sep6.more_info_url.jwt_secret),
        ("sep24", settings.sep24.more_info_url.jwt_secret),
    ):
        if not any(sep in dict(client.callback_urls.items()) for client in settings.clients):
            continue
        key = f"{sep}.more_info_url.jwt_secret"
        if secret is None:
            wrong = f"is missing, and a client has a {sep} callback URL: bodies go out without more_info_url"
            yield Finding(key, wrong, f"SECRET_{sep.upper()}_MORE_INFO_URL_JWT_SECRET", is_warning=True)
        else:
            yield from short_secret(key, secret)


def _shared_identities(settings: Settings) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for client in settings.clients:
        custodial = client.type == "custodial"
        for identity in client.signing_keys if custodial else client.domains:
            owner = owners.setdefault(identity.lower(), client.name)
            if owner != client.name:
                what = "signing_keys" if custodial else "domains"
                wrong = (
                    f"{identity} of {shown(client.name)} also belongs to {shown(owner)}: "
                    "events that name neither of them go to none"
                )
                yield Finding(f"clients.{what}", wrong, "each in one client", is_warning=True)


def _nobody_served(settings: Settings, sources: Sources) -> Iterator[Finding]:
    processor = settings.event_processor
    to_clients = processor.client_status_callback.enabled and sources.has_callback_urls
    if not settings.events.enabled or to_clients or processor.callback_api_request.enabled:
        return
    if not is_forgotten_default(settings, sources):
        wrong = "is false, and no client is served either: nothing is delivered"
        right = "true, or client_status_callback.enabled with a client that has a callback URL"
        yield Finding(ENABLED, wrong, right, is_warning=True)


def _shadow(settings: Settings) -> Iterator[Finding]:
    if settings.delivery.mode == "shadow":
        wrong = "is shadow: nothing is sent to anybody, only written down"
        yield Finding("delivery.mode", wrong, "deliver, when events are to arrive", is_warning=True)


def _web(settings: Settings) -> Iterator[Finding]:
    token, required = settings.web.admin_token, "web.require_token_for_reading"
    if token is None:
        if settings.web.require_token_for_reading:
            right = "SECRET_WEB_ADMIN_TOKEN in the environment or .env"
            yield Finding("web.admin_token", f"is missing, and {required} is true", right, (required,))
        return
    if not fits_header(token):
        wrong = "has characters that an HTTP header cannot carry"
        yield Finding("web.admin_token", wrong, "printable ASCII without line breaks")
    elif len(token.get_secret_value()) < ADMIN_TOKEN_CHARACTERS:
        wrong = f"has {len(token.get_secret_value())} characters: easy to guess"
        yield Finding("web.admin_token", wrong, f"{ADMIN_TOKEN_CHARACTERS} or more, by chance")


def _proxy(settings: Settings) -> Iterator[Finding]:
    url, password = settings.delivery.proxy_url, settings.delivery.proxy_password
    if password is not None and (url is None or parse_http_url(url).user is None):
        wrong = "names no user, and SECRET_DELIVERY_PROXY_PASSWORD is set"
        right = "http://user@proxy.example:3128"
        yield Finding("delivery.proxy_url", wrong, right, ("delivery.proxy_password",), is_warning=True)
