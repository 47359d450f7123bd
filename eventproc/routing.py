"""Step 2 – route: which destinations an event goes to, by indexes built once, with the reason.

The business server gets everything. A client gets only what is its own: the Anchor Platform's way of telling
every client everything is a privacy bug, kept as ``delivery.client_routing: broadcast`` for those who
depend on it. The rules are in the design: client name, else domain, else the custodial client's account.

What several clients claim (a domain, a key) names none of them: an event that went to nobody can be replayed
when the configuration is right, one that went to the wrong wallet cannot be taken back.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventproc.customer_index import CustomerIndex, named_customers
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
    AMBIGUOUS = "ambiguous"
    UNKNOWN_CUSTOMER = "unknown_customer"


@dataclass(frozen=True, slots=True)
class ClientRule:
    """What routing has to know of one client; ``endpoints`` has the SEPs that the client wants.

    ``domains`` are a noncustodial client's, ``accounts`` (``G…``) a custodial one's.
    """

    name: str
    domains: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    endpoints: Mapping[Sep, DestinationId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """Where one event goes.

    ``destinations`` may be empty. ``unbuildable`` names clients the event belongs to while its SEP is none
    that a body exists for: those copies are dead letters at once. ``learned`` are new facts of the customer
    index, to be written down before the source offset moves; ``contested`` are customers of others that the
    transaction names, and that are not learned. ``misfit`` says why no client can be told: the record goes to
    the invalid topic too.
    """

    destinations: tuple[DestinationId, ...]
    match: ClientMatch
    clients: tuple[str, ...] = ()
    unbuildable: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    misfit: str | None = None
    contested: tuple[str, ...] = ()


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
        self._clients = {client.name: client for client in clients}
        self._broadcast = broadcast
        self._shared_customers = shared_customers
        self._by_domain: dict[str, ClientRule | None] = {}
        self._by_account: dict[str, ClientRule | None] = {}
        for client in self._clients.values():
            for domain in client.domains:
                _claim(self._by_domain, _domain_key(domain), client)
            for account in client.accounts:
                _claim(self._by_account, account, client)

    def route(self, event: Event, customers: CustomerIndex) -> Route:
        """Decide for one event; what a transaction teaches about its customers goes into ``customers``."""
        if not self._clients:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS)
        owner: ClientRule | None = None
        learned: tuple[str, ...] = ()
        contested: tuple[str, ...] = ()
        match = ClientMatch.NO_CLIENT
        if event.transaction is not None:
            owner, match = self._owner_of_transaction(event.transaction)
            if owner is not None:
                learned, contested = self._learn(event.transaction, owner, customers)
        target = client_target(event)
        if target is None:
            return Route(self._business, ClientMatch.NOT_FOR_CLIENTS, learned=learned, contested=contested)
        clients = [] if owner is None else [owner]
        if self._broadcast:
            clients, match = list(self._clients.values()), ClientMatch.BROADCAST
        elif event.transaction is None:
            clients, match = self._owners_of_customer(event.customer, customers)
        if isinstance(target, Misfit):
            return Route(self._business, match, learned=learned, misfit=target.detail, contested=contested)
        names = tuple(client.name for client in clients)
        if isinstance(target, UnknownSep):
            return Route(self._business, match, names, names, learned, contested=contested)
        endpoints = tuple(client.endpoints[target] for client in clients if target in client.endpoints)
        return Route(self._business + endpoints, match, names, learned=learned, contested=contested)

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
    ) -> tuple[list[ClientRule], ClientMatch]:
        id_ = None if customer is None else customer.get("id")
        known = customers.clients_of(id_) if isinstance(id_, str) else frozenset()
        found = [client for name, client in self._clients.items() if name in known]
        return found, ClientMatch.CUSTOMER if found else ClientMatch.UNKNOWN_CUSTOMER

    def _owner_of_transaction(self, transaction: dict[str, Any]) -> tuple[ClientRule | None, ClientMatch]:
        name = transaction.get("client_name")
        if isinstance(name, str) and name in self._clients:
            return self._clients[name], ClientMatch.NAME
        domain = transaction.get("client_domain")
        if isinstance(domain, str) and (key := _domain_key(domain)) in self._by_domain:
            owner = self._by_domain[key]
            return owner, ClientMatch.AMBIGUOUS if owner is None else ClientMatch.DOMAIN
        account = _account_of(transaction)
        if account is not None and account in self._by_account:
            owner = self._by_account[account]
            return owner, ClientMatch.AMBIGUOUS if owner is None else ClientMatch.ACCOUNT
        return None, ClientMatch.NO_CLIENT


def _claim(owners: dict[str, ClientRule | None], identity: str, client: ClientRule) -> None:
    """None stands for several."""
    owners[identity] = client if owners.get(identity, client) is client else None


def _domain_key(domain: str) -> str:
    """Without regard to the case of ASCII letters, as DNS has it: the Kelvin sign's lower case is a ``k``."""
    if domain.isascii():
        return domain.lower()
    return domain.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


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
