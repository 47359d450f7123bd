"""Whose an event is, worked out from the specification and not from our code: what isolation is judged by.

``configuration.md`` and the design's "Routing": what the platform attributes an event to (``clientName``,
``clientDomain``) decides, and an event that contradicts itself is of no client. Else the name, else the domain of a noncustodial client, else the
account of a custodial one; what several clients claim is nobody's. Keys are taken apart by the Stellar SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stellar_sdk import MuxedAccount, StrKey

SEPS = {"6": "sep6", "24": "sep24", "31": "sep31"}


@dataclass
class Ownership:
    """The clients of one configuration, and what their transactions have taught about customers."""

    clients: Sequence[Mapping[str, Any]]
    shared_customers: bool = False
    claims: dict[str, list[str]] = field(default_factory=dict)

    def endpoints(self, event: Mapping[str, Any]) -> set[tuple[str, str]]:
        """``(client, sep)`` of every callback URL that may have this event; call it in order of the events."""
        transaction = event.get("transaction")
        attributed = any(event.get(member) not in (None, "") for member in ("clientName", "clientDomain"))
        if transaction is not None:
            owner = self._attributed(event) if attributed else self._owner(transaction)
            if owner is not None:
                self._learn(transaction, owner)
            sep = _text(transaction.get("sep")) or _text(event.get("sep"))
            if event["type"] == "quote_created" or sep not in SEPS:
                return set()
            if sep == "24" and transaction.get("kind") == "receive":
                return set()
            return self._wanted({owner} if owner else set(), SEPS[sep])
        if event["type"] != "customer_updated" or event.get("customer") is None:
            return set()
        if attributed:
            owner = self._attributed(event)
            return self._wanted({owner} if owner else set(), "sep12")
        customer = _text(event["customer"].get("id"))
        return self._wanted(set(self.claims.get(customer or "", [])), "sep12")

    def _wanted(self, names: set[str], sep: str) -> set[tuple[str, str]]:
        urls = {client["name"]: client["callback_urls"] for client in self.clients}
        return {(name, sep) for name in names if sep in urls[name]}

    def _attributed(self, event: Mapping[str, Any]) -> str | None:
        """The client that every member of the record agrees on."""
        said, transaction = (
            (event.get("clientName"), event.get("clientDomain")),
            event.get("transaction") or {},
        )
        if any(value not in (None, "") and _text(value) is None for value in said):
            return None
        name, domain = (_text(value) or None for value in said)
        of_domain = self._of_domain(domain)
        owner = name if any(client["name"] == name for client in self.clients) else of_domain
        own_name, own_domain = (
            _text(transaction.get(one)) or None for one in ("client_name", "client_domain")
        )
        of_own_domain, of_transaction = self._of_domain(own_domain), self._owner(transaction)
        disagreements = (
            name and own_name and name != own_name,
            of_domain and of_own_domain and of_domain != of_own_domain,
            owner and of_domain and owner != of_domain,
            of_transaction and of_transaction != owner,
        )
        return None if any(disagreements) else owner

    def _of_domain(self, domain: str | None) -> str | None:
        theirs = [c for c in self.clients if c["type"] == "noncustodial" and domain and _has(c, domain)]
        return theirs[0]["name"] if len(theirs) == 1 else None

    def _owner(self, transaction: Mapping[str, Any]) -> str | None:
        name = _text(transaction.get("client_name"))
        if any(client["name"] == name for client in self.clients):
            return name
        domain = _text(transaction.get("client_domain"))
        if domain is not None:
            theirs = [c for c in self.clients if c["type"] == "noncustodial" and _has(c, domain)]
            if theirs:
                return theirs[0]["name"] if len(theirs) == 1 else None
        account = _account(transaction)
        theirs = [
            c for c in self.clients if c["type"] == "custodial" and account in c.get("signing_keys", [])
        ]
        return theirs[0]["name"] if len(theirs) == 1 else None

    def _learn(self, transaction: Mapping[str, Any], owner: str) -> None:
        customers = transaction.get("customers")
        named = [transaction.get("creator")]
        named += [customers.get("sender"), customers.get("receiver")] if isinstance(customers, dict) else []
        for number, person in enumerate(named):
            id_ = _text(person.get("id")) if isinstance(person, dict) else None
            if id_:
                claims = self.claims.setdefault(id_, [])
                if owner not in claims and (number == 0 or not claims or self.shared_customers):
                    claims.append(owner)


def _has(client: Mapping[str, Any], domain: str) -> bool:
    return any(_same_host(domain, one) for one in client.get("domains", []))


def _same_host(one: str, other: str) -> bool:
    """As DNS compares: ASCII letters in any case, everything else byte for byte."""
    return one.encode().lower() == other.encode().lower()


def _account(transaction: Mapping[str, Any]) -> str | None:
    creator = transaction.get("creator")
    account = creator.get("account") if isinstance(creator, dict) else None
    if account is None and transaction.get("kind") == "receive":
        account = transaction.get("source_account")
    if not isinstance(account, str):
        return None
    if StrKey.is_valid_ed25519_public_key(account):
        return account
    try:
        return MuxedAccount.from_account(account).account_id if account.startswith("M") else None
    except ValueError:
        return None


def _text(value: object) -> str | None:
    """What the platform has as text may come as a number, and is its digits then."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
