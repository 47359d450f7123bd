"""Which example events are asked for, and where each would go, by the router's own rules."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from eventproc.customer_index import CustomerIndex
from eventproc.destination_patterns import UnknownNameError
from eventproc.destinations import build_destinations
from eventproc.destinations.business_server import DESTINATION_ID
from eventproc.destinations.client_endpoint import client_endpoints
from eventproc.destinations.routes import build_routing_table
from eventproc.errors import EventprocError
from eventproc.events import Event, EventType, decode
from eventproc.example_events import Example, Owner, Wish, make_examples, owner_of, teacher
from eventproc.identifiers import DestinationId
from eventproc.payloads import Sep
from settings import Settings
from settings.clients import Client

_TRANSACTION_SEPS: Final = (Sep.SEP24, Sep.SEP6, Sep.SEP31)


class NotReachedError(EventprocError):
    """The event would not reach whom it is for; the message says why and the way out."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One example, and the destinations that it goes to."""

    example: Example
    destinations: tuple[DestinationId, ...]

    @property
    def subject(self) -> str:
        """What the event is about: the id of its transaction, quote or customer."""
        event = _decoded(self.example)
        about = event.transaction or event.quote or event.customer or {}
        return str(about.get("id", self.example.event_id))


def find_client(settings: Settings, name: str) -> Client:
    """The client of that name. Raises UnknownNameError."""
    for client in settings.clients:
        if client.name == name:
            return client
    raise UnknownNameError("client", name, [client.name for client in settings.clients])


def plan_examples(settings: Settings, client: Client | None, wish: Wish, count: int) -> list[Planned]:
    """Make them, and route each as the router would.

    A customer's event is preceded by a transaction of the client that names the customer.

    Raises:
        ExampleError: there is no such event.
        NotReachedError: the client would not be told.
    """
    table, customers = build_routing_table(settings, set(build_destinations(settings))), CustomerIndex()
    plan = [
        Planned(example, table.route(_decoded(example), customers).destinations)
        for example in _examples(settings, client, wish, count)
    ]
    if client is not None and not _is_for(client, plan[-1].destinations):
        raise NotReachedError(_why_not(settings, client, plan[-1].example))
    return plan


def for_endpoint(settings: Settings, client: Client | None, plan: Sequence[Planned]) -> list[Planned]:
    """The same for the client's endpoint alone, or the business server's; nobody has to be taught there.

    Raises:
        NotReachedError: there is no business server.
    """
    wanted = [one for one in plan if one.example.type == plan[-1].example.type]
    if client is not None:
        endpoints = set(client_endpoints(settings, client.name).values())
        return [Planned(one.example, tuple(i for i in one.destinations if i in endpoints)) for one in wanted]
    if DESTINATION_ID not in plan[-1].destinations:
        raise NotReachedError(
            "there is no business server: event_processor.callback_api_request.enabled is false. "
            "Name a --client, or enable it."
        )
    return [Planned(one.example, (DESTINATION_ID,)) for one in wanted]


def _examples(settings: Settings, client: Client | None, wish: Wish, count: int) -> list[Example]:
    owner = Owner() if client is None else owner_of(client)
    now = datetime.now(timezone.utc)
    usual = Wish(
        wish.type, wish.sep or _usual_sep(wish.type, client), wish.kind, wish.status, wish.transaction_id
    )
    examples = make_examples(usual, owner, now=now, new_id=_new_id, count=count)
    if wish.type is not EventType.CUSTOMER_UPDATED or client is None:
        return examples
    sep = _sep_to_teach_by(settings, client)
    return [
        one
        for example in examples
        for one in (teacher(owner, sep, example, now=now, new_id=_new_id), example)
    ]


def _usual_sep(type_: EventType, client: Client | None) -> Sep | None:
    if type_ is EventType.CUSTOMER_UPDATED:
        return Sep.SEP12
    if type_ is EventType.QUOTE_CREATED:
        return None
    wanted = {name for name, _ in client.callback_urls.items()} if client is not None else set()
    return next((sep for sep in _TRANSACTION_SEPS if f"sep{sep.value}" in wanted), Sep.SEP24)


def _sep_to_teach_by(settings: Settings, client: Client) -> Sep:
    """One that the client has no URL for, if there is one: the router learns, and the client is not told."""
    wanted = client_endpoints(settings, client.name)
    return next((sep for sep in _TRANSACTION_SEPS if sep not in wanted), Sep.SEP24)


def _is_for(client: Client, destinations: Sequence[DestinationId]) -> bool:
    return any(id_.rpartition(".")[0] == f"client.{client.name}" for id_ in destinations)


def _why_not(settings: Settings, client: Client, example: Example) -> str:
    name = f"client {client.name}"
    sep = _decoded(example).sep
    if example.type is EventType.QUOTE_CREATED:
        return f"{name} would not be told: quotes go to the business server alone. Leave out --client."
    if not settings.event_processor.client_status_callback.enabled:
        return f"{name} would not be told: event_processor.client_status_callback.enabled is false."
    urls = dict(client.callback_urls.items())
    if f"sep{sep}" not in urls:
        has = ", ".join(urls) or "none"
        wrong = f"it has no callback URL for SEP {sep} (it has: {has})"
        return f"{name} would not be told: {wrong}. Choose another --sep, or add the URL."
    return f"{name} would not be told: its endpoint is no destination. See eventproc config check."


def _decoded(example: Example) -> Event:
    event = decode(example.value)
    assert isinstance(event, Event), event  # noqa: S101 - we made it
    return event


def _new_id() -> str:
    return str(uuid.uuid4())
