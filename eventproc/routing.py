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

from eventproc.customer_index import UNPLACED, CustomerIndex, NamedAt, Naming, named_customers
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientMatch, ClientRule, Owners
from eventproc.payloads import Misfit, UnknownSep, client_target


@dataclass(frozen=True, slots=True)
class Route:
    """Where one event goes.

    ``destinations`` may be empty. ``unbuildable`` names clients the event belongs to while its SEP is none
    that a body exists for: those copies are dead letters at once. ``learned`` is what is new to the customer
    index, to be written down before the source offset moves; ``contested`` are the customers among these
    whose updates do not go to all clients that name them. ``contradiction`` is what a record says whose
    attribution and transaction name different clients. ``misfit`` says why no client can be told: the record
    goes to the invalid topic too.
    """

    destinations: tuple[DestinationId, ...]
    match: ClientMatch
    clients: tuple[str, ...] = ()
    unbuildable: tuple[str, ...] = ()
    learned: tuple[Naming, ...] = ()
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
        self.shared_customers = shared_customers

    def route(self, event: Event, customers: CustomerIndex, at: NamedAt = UNPLACED) -> Route:
        """Decide for one event; what a transaction teaches about its customers goes into ``customers``.

        Args:
            event: what happened.
            customers: the index, which is changed.
            at: the place of the event's record among all others.
        """
        if not self._owners.clients:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS)
        owner = self._owners.owner(event.attribution, event.transaction)
        learned: tuple[Naming, ...] = ()
        if event.transaction is not None and owner.client is not None:
            learned = _learn(event.transaction, owner.client, at, customers)
        contested = () if self.shared_customers else _contested(learned, customers)
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

    def _owners_of_customer(
        self, customer: dict[str, Any] | None, customers: CustomerIndex
    ) -> tuple[tuple[ClientRule, ...], ClientMatch]:
        id_ = None if customer is None else customer.get("id")
        known = (
            customers.owners_of(id_, shared=self.shared_customers) if isinstance(id_, str) else frozenset()
        )
        found = tuple(client for client in self._owners.clients if client.name in known)
        return found, ClientMatch.CUSTOMER if found else ClientMatch.UNKNOWN_CUSTOMER


def _learn(
    transaction: dict[str, Any], owner: ClientRule, at: NamedAt, customers: CustomerIndex
) -> tuple[Naming, ...]:
    namings = [
        Naming(customer, owner.name, at, creator) for customer, creator in named_customers(transaction)
    ]
    return tuple(naming for naming in namings if customers.learn(naming))


def _contested(learned: tuple[Naming, ...], customers: CustomerIndex) -> tuple[str, ...]:
    return tuple(naming.customer for naming in learned if customers.rivals_of(naming.customer))
