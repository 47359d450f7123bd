"""Whose an event is, by what its record says about clients.

Two parts of a record can name a client. The platform's attribution (``clientName``, ``clientDomain`` at the
top level, from 4.4 on, with every type) decides where it is present. The transaction decides in all other
records. Both are read by the same rules: the client's name, else the domain of a noncustodial client; in a
transaction else the account of a custodial one. What several clients claim (a domain, a key) names none of
them.

An attribution that the rest of the record contradicts names no client: the event could be of either, and one
that went to the wrong wallet cannot be taken back. These contradict each other:

- ``clientName`` and ``client_name`` that differ, also when no such client is configured;
- ``clientDomain`` and ``client_domain``, or ``clientName`` and ``clientDomain``, of two different clients;
- a transaction that belongs to a client by the rules, and an attribution that gives another one or none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventproc.errors import StrkeyError
from eventproc.events import Attribution
from eventproc.identifiers import DestinationId
from eventproc.payloads import Sep
from eventproc.strkey import base_account


class ClientMatch(enum.Enum):
    """Why a client was chosen, or why none was."""

    ATTRIBUTION = "attribution"
    NAME = "name"
    DOMAIN = "domain"
    ACCOUNT = "account"
    CUSTOMER = "customer"
    BROADCAST = "broadcast"
    NOT_FOR_CLIENTS = "not_for_clients"
    NO_CLIENT = "no_client"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_CLIENT = "unknown_client"
    UNKNOWN_CUSTOMER = "unknown_customer"
    CONTRADICTION = "contradiction"


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
class Owner:
    """Whose an event is, and how that was found; ``contradiction`` has what the record says, for a person."""

    client: ClientRule | None
    match: ClientMatch
    contradiction: str | None = None


_NO_CLIENT = Owner(None, ClientMatch.NO_CLIENT)


class Owners:
    """The clients of one configuration, in its order, found by everything that can name them."""

    def __init__(self, clients: Iterable[ClientRule]) -> None:
        self._by_name = {client.name: client for client in clients}
        self.clients = tuple(self._by_name.values())
        self._by_domain: dict[str, ClientRule | None] = {}
        self._by_account: dict[str, ClientRule | None] = {}
        for client in self._by_name.values():
            for domain in client.domains:
                _claim(self._by_domain, _domain_key(domain), client)
            for account in client.accounts:
                _claim(self._by_account, account, client)

    def owner(self, attribution: Attribution | None, transaction: dict[str, Any] | None) -> Owner:
        """Whose an event is; the attribution decides before the transaction."""
        by_transaction = _NO_CLIENT if transaction is None else self._by_transaction(transaction)
        if attribution is None:
            return by_transaction
        by_attribution = self._by_attribution(attribution)
        if self._is_contradicted(attribution, by_attribution, transaction or {}, by_transaction):
            return Owner(None, ClientMatch.CONTRADICTION, _statements(attribution, transaction or {}))
        return by_attribution

    def _by_attribution(self, attribution: Attribution) -> Owner:
        if not attribution.is_text:
            return Owner(None, ClientMatch.UNKNOWN_CLIENT)
        found = self._by_name_or_domain(attribution.name, attribution.domain)
        if found is None:
            return Owner(None, ClientMatch.UNKNOWN_CLIENT)
        return found if found.client is None else Owner(found.client, ClientMatch.ATTRIBUTION)

    def _by_transaction(self, transaction: dict[str, Any]) -> Owner:
        found = self._by_name_or_domain(
            _text(transaction, "client_name"), _text(transaction, "client_domain")
        )
        if found is not None:
            return found
        account = _account_of(transaction)
        if account is not None and account in self._by_account:
            return _one_of(self._by_account[account], ClientMatch.ACCOUNT)
        return _NO_CLIENT

    def _by_name_or_domain(self, name: str | None, domain: str | None) -> Owner | None:
        if name is not None and name in self._by_name:
            return Owner(self._by_name[name], ClientMatch.NAME)
        if domain is not None and (key := _domain_key(domain)) in self._by_domain:
            return _one_of(self._by_domain[key], ClientMatch.DOMAIN)
        return None

    def _is_contradicted(
        self, attribution: Attribution, found: Owner, transaction: dict[str, Any], by_transaction: Owner
    ) -> bool:
        names = attribution.name, _text(transaction, "client_name")
        if None not in names and names[0] != names[1]:
            return True
        domain, other_domain = attribution.domain, _text(transaction, "client_domain")
        by_domains = [self._by_domain_alone(one) for one in (domain, other_domain)]
        if None not in by_domains and by_domains[0] is not by_domains[1]:
            return True
        if None not in (found.client, by_domains[0]) and by_domains[0] is not found.client:
            return True
        return by_transaction.client is not None and by_transaction.client is not found.client

    def _by_domain_alone(self, domain: str | None) -> ClientRule | None:
        return None if domain is None else self._by_domain.get(_domain_key(domain))


def _one_of(client: ClientRule | None, match: ClientMatch) -> Owner:
    return Owner(client, ClientMatch.AMBIGUOUS if client is None else match)


def _text(transaction: dict[str, Any], member: str) -> str | None:
    value = transaction.get(member)
    return value if isinstance(value, str) and value else None


def _statements(attribution: Attribution, transaction: dict[str, Any]) -> str:
    """What a contradictory record says about its client, member by member."""
    said = {
        "clientName": attribution.name,
        "clientDomain": attribution.domain,
        "transaction.client_name": _text(transaction, "client_name"),
        "transaction.client_domain": _text(transaction, "client_domain"),
        "the transaction's account": _account_of(transaction),
    }
    return ", ".join(f"{member} {value!r}" for member, value in said.items() if value is not None)


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
