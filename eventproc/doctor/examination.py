"""All checks of one configuration, side by side within a bound."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from eventproc.delivery.example_sender import Answer, post_example
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.record_batches import CODECS
from eventproc.delivery.topics import plan_topics
from eventproc.destinations import Destination, build_destinations
from eventproc.destinations.business_server import DESTINATION_ID as BUSINESS_SERVER
from eventproc.destinations.client_endpoint import client_endpoints
from eventproc.doctor.clock import judge_clocks
from eventproc.doctor.endpoint import Examined, OtherAddress, SendExample, examine_endpoint
from eventproc.doctor.findings import Check, ok, problem, warning
from eventproc.doctor.kafka_checks import KAFKA, judge_kafka
from eventproc.doctor.kafka_facts import ask_kafka
from eventproc.doctor.signing_key import home_domains, judge_signing_key
from eventproc.errors import EventprocError
from eventproc.events import EventType
from eventproc.example_events import Owner, Wish, make_examples, owner_of
from eventproc.http.addresses import Resolver
from eventproc.http.resolver import open_resolver
from eventproc.payloads import Sep
from settings import Settings
from settings.callback_api import PathMode, event_url

CONFIGURATION: Final = "configuration"

AT_ONCE: Final = 16
"""Endpoints looked at side by side."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to look at. ``domains`` empty: those of the configuration."""

    offline: bool = False
    sends_examples: bool = False
    timeout_seconds: float = 10.0
    domains: Sequence[str] = ()
    ca_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that was found."""

    checks: list[Check]
    is_broker_away: bool = False


def steps(settings: Settings, order: Order) -> int:
    """How often ``on_step`` is called: for Kafka, the signing key, and each endpoint."""
    return 0 if order.offline else 2 + len(build_destinations(settings))


async def examine(
    settings: Settings, order: Order, on_step: Callable[[], None] = lambda: None
) -> Examination:
    """Look at everything; what is wrong is part of the answer."""
    destinations = list(build_destinations(settings).values())
    checks = [*_configuration(settings, destinations), _codecs(), *_own_stores(settings)]
    if order.offline:
        return Examination(checks)
    (kafka, is_away), endpoints, key = await asyncio.gather(
        _examine_kafka(settings, order, destinations, on_step),
        _examine_endpoints(settings, order, destinations, on_step),
        _examine_key(settings, order, on_step),
    )
    return Examination([*checks, *kafka, *endpoints, *key], is_away)


async def _examine_kafka(
    settings: Settings, order: Order, destinations: Sequence[Destination], on_step: Callable[[], None]
) -> tuple[list[Check], bool]:
    if list(_own_stores(settings)):
        on_step()
        return [], False
    plans = plan_topics(settings, sorted(one.topic for one in destinations))
    facts = await ask_kafka(settings, [plan.name for plan in plans], order.timeout_seconds)
    on_step()
    return judge_kafka(facts, settings, plans), facts.is_away


async def _examine_endpoints(
    settings: Settings, order: Order, destinations: Sequence[Destination], on_step: Callable[[], None]
) -> list[Check]:
    gate = asyncio.Semaphore(AT_ONCE)
    send = _sender_of_examples(settings) if order.sends_examples else None

    async def look_at(destination: Destination, resolver: Resolver) -> Examined:
        async with gate:
            other = other_address(settings) if destination.id == BUSINESS_SERVER else None
            found = await examine_endpoint(
                destination, settings.delivery, order.timeout_seconds, send, resolver, other
            )
        on_step()
        return found

    async with aclosing(open_resolver(settings.delivery.name_servers)) as resolver:
        examined = await asyncio.gather(*(look_at(destination, resolver) for destination in destinations))
    skews = {
        str(destination.id): found.skew_seconds
        for destination, found in zip(destinations, examined, strict=True)
        if found.skew_seconds is not None
    }
    return [*(check for found in examined for check in found.checks), *judge_clocks(skews)]


def other_address(settings: Settings) -> OtherAddress | None:
    """Where the other releases of the platform would send events, if that is somewhere else."""
    api = settings.callback_api
    mode: PathMode = "append" if api.event_path_mode == "root" else "root"
    url = event_url(api.base_url, mode)
    return None if url == api.event_url else OtherAddress(url, f"callback_api.event_path_mode: {mode}")


async def _examine_key(settings: Settings, order: Order, on_step: Callable[[], None]) -> list[Check]:
    domains = home_domains(settings, order.domains)
    found = await judge_signing_key(settings, domains, order.timeout_seconds, order.ca_path)
    on_step()
    return found


def _configuration(settings: Settings, destinations: Sequence[Destination]) -> Iterator[Check]:
    for one in settings.warnings:
        yield warning(CONFIGURATION, "settings", str(one), "see eventproc config show")
    if not settings.events.enabled:
        what = "events.enabled is false: a worker says so and stops"
        yield problem(CONFIGURATION, "events", what, "set EVENTS_ENABLED=true")
    if not destinations:
        what = "there is no destination: nothing is delivered to anybody"
        way_out = "enable the business server, or give a client a callback URL"
        yield warning(CONFIGURATION, "destinations", what, way_out)
    else:
        yield ok(CONFIGURATION, "destinations", f"{len(destinations)}, and every value is right")


def _codecs() -> Check:
    """Which compressed batches aiokafka can read here."""
    missing = [name for name, is_there in CODECS.items() if not is_there()]
    if missing:
        what = f"{', '.join(missing)} cannot be read: a batch compressed so stops its partition"
        return problem(KAFKA, "codecs", what, "install cramjam, a dependency of eventproc")
    return ok(KAFKA, "codecs", ", ".join(CODECS))


def _own_stores(settings: Settings) -> Iterator[Check]:
    """The key and trust stores for Kafka, without asking anybody."""
    try:
        connection_options(settings)
    except EventprocError as error:
        yield problem(KAFKA, "stores", str(error), "see events.queue.kafka.ssl_… in settings/defaults.yaml")


def _sender_of_examples(settings: Settings) -> SendExample:
    owners = {
        id_: (owner_of(client), sep)
        for client in settings.clients
        for sep, id_ in client_endpoints(settings, client.name).items()
    }

    async def send(destination: Destination) -> Answer:
        owner, sep = owners.get(destination.id, (Owner(), Sep.SEP24))
        type_ = EventType.CUSTOMER_UPDATED if sep is Sep.SEP12 else EventType.TRANSACTION_STATUS_CHANGED
        now = datetime.now(timezone.utc)
        (example,) = make_examples(Wish(type_, sep), owner, now=now, new_id=lambda: str(uuid.uuid4()))
        return await post_example(settings, destination, example)

    return send
