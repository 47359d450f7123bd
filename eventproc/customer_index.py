"""Which clients a customer belongs to, learned from the transactions that name the customer.

``customer_updated`` carries no client. A transaction carries both its client and its customers' ids
(``creator.id``, ``customers.sender.id``, ``customers.receiver.id``), so the fold over transactions answers
the question. Which facts are learned is routing's to say: a SEP-31 client may write any id into its request.
"""

from __future__ import annotations

from typing import Any

import orjson


class CustomerIndex:
    """Customer id -> names of clients. Grows with the number of customers, about 200 bytes for each."""

    def __init__(self) -> None:
        self._clients: dict[str, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def clients_of(self, customer_id: str) -> frozenset[str]:
        """The names of the clients that had a transaction of this customer; empty when none is known."""
        return self._clients.get(customer_id, frozenset())

    def learn(self, customer_id: str, client: str) -> bool:
        """Add one fact; True when it is new and so has to be written down."""
        known = self._clients.get(customer_id, frozenset())
        if client in known:
            return False
        self._clients[customer_id] = known | {client}
        return True

    def entry(self, customer_id: str) -> bytes:
        """The changelog record's value for one customer: a JSON list of client names."""
        return orjson.dumps(sorted(self.clients_of(customer_id)))

    def restore(self, customer_id: str, value: bytes | None) -> None:
        """Fold one changelog record in; an unreadable one is left out.

        Several workers write the changelog, each what it knew: so records add to each other.
        """
        if value is None:
            self._clients.pop(customer_id, None)
            return
        try:
            clients = orjson.loads(value)
        except orjson.JSONDecodeError:
            return
        if isinstance(clients, list):
            known = self._clients.get(customer_id, frozenset())
            self._clients[customer_id] = known | {c for c in clients if isinstance(c, str)}


def named_customers(transaction: dict[str, Any]) -> list[tuple[str, bool]]:
    """Every customer id that a transaction names, once each, and whether it is the creator's.

    The creator is who logged in; sender and receiver are what a SEP-31 client wrote into its request.
    """
    customers = transaction.get("customers")
    holders = [transaction.get("creator")]
    if isinstance(customers, dict):
        holders += [customers.get("sender"), customers.get("receiver")]
    found: dict[str, bool] = {}
    for number, holder in enumerate(holders):
        id_ = holder.get("id") if isinstance(holder, dict) else None
        if isinstance(id_, str) and id_:
            found.setdefault(id_, number == 0)
    return list(found.items())
