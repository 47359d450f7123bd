"""Step 2 – route: which destinations an event goes to, by indexes built once, with the reason.

The business server gets everything. A client gets only what is its own. Up to release 4.3 the Anchor Platform
sent every event to every client: a privacy bug, kept as ``delivery.client_routing: broadcast`` for those who
depend on it. ``eventproc.ownership`` decides whose an event is. The customer index does so for a
``customer_updated`` that names no client.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from eventproc.customer_index import CustomerIndex, named_customers
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientMatch, ClientRule, Owners
from eventproc.payloads import Misfit, UnknownSep, client_target


@dataclass(frozen=True, slots=True)
class Route:
    """Where one event goes.

    ``destinations`` may be empty. ``unbuildable`` names clients the event belongs to while its SEP is none
    that a body exists for: those copies are dead letters at once. ``learned`` are new facts of the customer
    index, to be written down before the source offset moves; ``contested`` are customers of others that the
    transaction names, and that are not learned. ``contradiction`` is what a record says whose attribution and
    transaction name different clients. ``misfit`` says why no client can be told: the record goes to
    the invalid topic too.
    """

    destinations: tuple[DestinationId, ...]
    match: ClientMatch
    clients: tuple[str, ...] = ()
    unbuildable: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    misfit: str | None = None
    contested: tuple[str, ...] = ()
    contradiction: str | None = None


class RoutingTable:
    """All rules of one configuration.

    Args:
        clients: their rules.
        business_server: gets everything, if there is one.
        broadcast: every client gets everything that there is a body for.
        shared_customers: every client whose transaction names a customer is told of it. Else the first is,
            and those whose transactions it created: SEP-31 clients name senders and receivers as they like.
    """

    def __init__(
        self,
        clients: Iterable[ClientRule],
        business_server: DestinationId | None,
        *,
        broadcast: bool = False,
        shared_customers: bool = False,
    ) -> None:
        self._business = () if business_server is None else (business_server,)
        self._owners = Owners(clients)
        self._broadcast = broadcast
        self._shared_customers = shared_customers

    def route(self, event: Event, customers: CustomerIndex) -> Route:
        """Decide for one event; what a transaction teaches about its customers goes into ``customers``."""
        if not self._owners.clients:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS)
        owner = self._owners.owner(event.attribution, event.transaction)
        learned: tuple[str, ...] = ()
        contested: tuple[str, ...] = ()
        if event.transaction is not None and owner.client is not None:
            learned, contested = self._learn(event.transaction, owner.client, customers)
        route = partial(Route, learned=learned, contested=contested, contradiction=owner.contradiction)
        target = client_target(event)
        if target is None:
            match = ClientMatch.NOT_FOR_CLIENTS if owner.contradiction is None else owner.match
            return route(self._business, match)
        match = owner.match
        clients: tuple[ClientRule, ...] = () if owner.client is None else (owner.client,)
        if self._broadcast:
            clients, match = self._owners.clients, ClientMatch.BROADCAST
        elif event.transaction is None and event.attribution is None:
            clients, match = self._owners_of_customer(event.customer, customers)
        if isinstance(target, Misfit):
            return route(self._business, match, misfit=target.detail)
        names = tuple(client.name for client in clients)
        if isinstance(target, UnknownSep):
            return route(self._business, match, names, names)
        endpoints = tuple(client.endpoints[target] for client in clients if target in client.endpoints)
        return route(self._business + endpoints, match, names)

    def _learn(
        self, transaction: dict[str, Any], owner: ClientRule, customers: CustomerIndex
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Customers of ``owner`` that are new, and those it names though others had them first."""
        learned, contested = [], []
        for customer, is_creator in named_customers(transaction):
            known = customers.clients_of(customer)
            if owner.name in known:
                continue
            if known and not is_creator and not self._shared_customers:
                contested.append(customer)
            elif customers.learn(customer, owner.name):
                learned.append(customer)
        return tuple(learned), tuple(contested)

    def _owners_of_customer(
        self, customer: dict[str, Any] | None, customers: CustomerIndex
    ) -> tuple[tuple[ClientRule, ...], ClientMatch]:
        id_ = None if customer is None else customer.get("id")
        known = customers.clients_of(id_) if isinstance(id_, str) else frozenset()
        found = tuple(client for client in self._owners.clients if client.name in known)
        return found, ClientMatch.CUSTOMER if found else ClientMatch.UNKNOWN_CUSTOMER
