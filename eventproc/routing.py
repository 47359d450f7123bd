"""Step 2 – route: which destinations an event goes to, by indexes built once, with the reason.

The business server gets everything. A client gets only what is its own: the Anchor Platform's way of telling
every client everything is a privacy bug, kept as ``delivery.client_routing: broadcast`` for those who
depend on it. The rules are in the design: client name, else domain, else the custodial client's account.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventproc.customer_index import CustomerIndex, customer_ids
from eventproc.errors import StrkeyError
from eventproc.events import Event
from eventproc.identifiers import DestinationId
from eventproc.payloads import Misfit, Sep, UnknownSep, client_target
from eventproc.strkey import base_account


class ClientMatch(enum.Enum):
    """Why a client was chosen, or why none was."""

    NAME = "name"
    DOMAIN = "domain"
    ACCOUNT = "account"
    CUSTOMER = "customer"
    BROADCAST = "broadcast"
    NOT_FOR_CLIENTS = "not_for_clients"
    NO_CLIENT = "no_client"
    UNKNOWN_CUSTOMER = "unknown_customer"


@dataclass(frozen=True, slots=True)
class ClientRule:
    """What routing has to know of one client; ``endpoints`` has the SEPs that the client wants."""

    name: str
    domains: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    endpoints: Mapping[Sep, DestinationId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one event goes.

    ``destinations`` may be empty. ``unbuildable`` names clients the event belongs to while its SEP is none
    that a body exists for: those copies are dead letters at once. ``learned`` are new facts of the customer
    index, to be written down before the source offset moves. ``misfit`` says why no client can be told: the
    record goes to the invalid topic too.
    """

    destinations: tuple[DestinationId, ...]
    match: ClientMatch
    clients: tuple[str, ...] = ()
    unbuildable: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    misfit: str | None = None


class RoutingTable:
    """All rules of one configuration. First match wins, in the order of the configuration."""

    def __init__(
        self, clients: Iterable[ClientRule], business_server: DestinationId | None, *, broadcast: bool = False
    ) -> None:
        self._business = () if business_server is None else (business_server,)
        self._clients = {client.name: client for client in clients}
        self._broadcast = broadcast
        self._by_domain: dict[str, ClientRule] = {}
        self._by_account: dict[str, ClientRule] = {}
        for client in self._clients.values():
            for domain in client.domains:
                self._by_domain.setdefault(domain.lower(), client)
            for account in client.accounts:
                self._by_account.setdefault(account, client)

    def route(self, event: Event, customers: CustomerIndex) -> Route:
        """Decide for one event; what a transaction teaches about its customers goes into ``customers``."""
        if not self._clients:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS)
        clients, match, learned = self._owners(event, customers)
        target = client_target(event)
        if target is None:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS, learned=learned)
        if isinstance(target, Misfit):
            return Route(self._business, match, learned=learned, misfit=target.detail)
        names = tuple(client.name for client in clients)
        if isinstance(target, UnknownSep):
            return Route(self._business, match, names, unbuildable=names, learned=learned)
        endpoints = tuple(client.endpoints[target] for client in clients if target in client.endpoints)
        return Route(self._business + endpoints, match, names, learned=learned)

    def _owners(
        self, event: Event, customers: CustomerIndex
    ) -> tuple[list[ClientRule], ClientMatch, tuple[str, ...]]:
        learned: tuple[str, ...] = ()
        owner: ClientRule | None = None
        match = ClientMatch.NO_CLIENT
        if event.transaction is not None:
            owner, match = self._owner_of_transaction(event.transaction)
            if owner is not None:
                ids = customer_ids(event.transaction)
                learned = tuple(i for i in ids if customers.learn(i, owner.name))
        if self._broadcast:
            return list(self._clients.values()), ClientMatch.BROADCAST, learned
        if event.transaction is not None:
            return ([] if owner is None else [owner]), match, learned
        if event.customer is not None:
            known = customers.clients_of(str(event.customer.get("id", "")))
            found = [client for name, client in self._clients.items() if name in known]
            return found, ClientMatch.CUSTOMER if found else ClientMatch.UNKNOWN_CUSTOMER, ()
        return [], ClientMatch.NO_CLIENT, ()

    def _owner_of_transaction(self, transaction: dict[str, Any]) -> tuple[ClientRule | None, ClientMatch]:
        name = transaction.get("client_name")
        if isinstance(name, str) and name in self._clients:
            return self._clients[name], ClientMatch.NAME
        domain = transaction.get("client_domain")
        if isinstance(domain, str) and (owner := self._by_domain.get(domain.lower())):
            return owner, ClientMatch.DOMAIN
        account = _account_of(transaction)
        if account is not None and (owner := self._by_account.get(account)):
            return owner, ClientMatch.ACCOUNT
        return None, ClientMatch.NO_CLIENT


def _account_of(transaction: dict[str, Any]) -> str | None:
    """The G… account that created the transaction; a muxed account stands for the account below it.

    A SEP-31 ``receive`` is created by the sending organisation, whose account is ``source_account``.
    """
    creator = transaction.get("creator")
    account = creator.get("account") if isinstance(creator, dict) else None
    if account is None and transaction.get("kind") == "receive":
        account = transaction.get("source_account")
    if not isinstance(account, str):
        return None
    try:
        return base_account(account)
    except StrkeyError:
        return None
