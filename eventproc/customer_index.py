"""Which clients a customer belongs to, learned from the transactions that name the customer.

``customer_updated`` carries no client up to platform 4.3. A transaction carries both its client and its
customers' ids (``creator.id``, ``customers.sender.id``, ``customers.receiver.id``), so the fold over
transactions answers the question. A customer belongs to

- the client that named it first, by the time and position of the record. Partitions are read in any order,
  and each worker reads only some, so the order of reading must not decide;
- each client that has a transaction which this customer created: the creator is who logged in, while a SEP-31
  client writes any sender and receiver into its request.

Other clients that name it do not receive its updates; then the customer is contested.

The changelog has one record for each naming that is news to the worker that writes it. The key holds the
whole naming, so two workers never write different values under one key, and compaction removes only
repetitions. The index is the minimum and the union over these records: the same for any order of them.
Dropped: one key for each customer, because two workers that learn at once overwrite each other; and one for
each customer and client, because they overwrite the time of the first naming (a worker that repairs what it
reads back can be killed before it does).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson


class NamedAt(NamedTuple):
    """Where a record stands among all of the source: its Kafka timestamp, then its partition and offset."""

    timestamp_ms: int
    partition: int
    offset: int


class Naming(NamedTuple):
    """A client's transaction at ``at`` names a customer; ``is_creator``: the customer created it."""

    customer: str
    client: str
    at: NamedAt
    is_creator: bool

    def key(self) -> bytes:
        """The changelog record's key: ``[customer, client, timestamp, partition, offset]``."""
        return orjson.dumps([self.customer, self.client, *self.at])

    def value(self) -> bytes:
        """The changelog record's value."""
        return orjson.dumps({"creator": self.is_creator})


class Claim(NamedTuple):
    """What is known of one client's namings of one customer: the first, and whether any is as creator."""

    client: str
    timestamp_ms: int
    partition: int
    offset: int
    is_creator: bool

    @property
    def first(self) -> NamedAt:
        """The first naming."""
        return NamedAt(self.timestamp_ms, self.partition, self.offset)


BEFORE_ALL: Final = NamedAt(-(1 << 63), -1, -1)
"""Where entries of version 1 stand, which have no position: what was delivered so far stays so."""

UNPLACED: Final = NamedAt(0, 0, 0)
"""For an event that comes from no topic."""


class CustomerIndex:
    """Customer id -> claims. Grows with the number of customers, about 330 bytes for each."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[Claim, ...]] = {}
        self._contested = 0

    def __len__(self) -> int:
        return len(self._claims)

    @property
    def contested_count(self) -> int:
        """How many customers are named by a client that does not receive their updates."""
        return self._contested

    def owners_of(self, customer_id: str, *, shared: bool = False) -> frozenset[str]:
        """The clients that receive its updates: see the module's docstring. ``shared``: all that name it."""
        claims = self._claims.get(customer_id, ())
        return frozenset(claim.client for claim in claims) if shared else _owners(claims)

    def rivals_of(self, customer_id: str) -> frozenset[str]:
        """The clients that name it and do not receive its updates."""
        claims = self._claims.get(customer_id, ())
        return frozenset(claim.client for claim in claims) - _owners(claims)

    def learn(self, naming: Naming) -> bool:
        """Add one naming; True when it is news and so has to be written down."""
        customer, client, at, is_creator = naming
        claims = self._claims.get(customer, ())
        known = next((claim for claim in claims if claim.client == client), None)
        if known is None:
            changed = Claim(client, *at, is_creator)
        elif at >= known.first and (known.is_creator or not is_creator):
            return False
        else:
            changed = Claim(client, *min(at, known.first), known.is_creator or is_creator)
        others = tuple(claim for claim in claims if claim is not known)
        self._put(customer, (*others, changed))
        return True

    def restore(self, key: bytes, value: bytes | None) -> Naming | None:
        """Fold one changelog record in; returns the naming if it is news. An unreadable one is left out.

        A record of version 1 has the customer's id as key and a list of clients as value. All of these
        received the customer's updates, so they go on to. Without a value it forgets the customer.
        """
        if value is None:
            self._put(key.decode("utf-8", "replace"), ())
            return None
        try:
            content = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
        if isinstance(content, list):
            customer = key.decode("utf-8", "replace")
            for client in content:
                if isinstance(client, str):
                    self.learn(Naming(customer, client, BEFORE_ALL, is_creator=True))
            return None
        naming = _read_naming(key, content)
        return naming if naming is not None and self.learn(naming) else None

    def _put(self, customer: str, claims: tuple[Claim, ...]) -> None:
        before = self._claims.get(customer, ())
        self._contested += _is_contested(claims) - _is_contested(before)
        if claims:
            self._claims[customer] = claims
        else:
            self._claims.pop(customer, None)


def named_customers(transaction: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Every customer id that a transaction names, once each, and whether it is the creator's."""
    customers = transaction.get("customers")
    holders = [transaction.get("creator")]
    if isinstance(customers, dict):
        holders += [customers.get("sender"), customers.get("receiver")]
    found: dict[str, bool] = {}
    for number, holder in enumerate(holders):
        id_ = holder.get("id") if isinstance(holder, dict) else None
        if isinstance(id_, str) and id_:
            found.setdefault(id_, number == 0)
    return iter(found.items())


def _owners(claims: tuple[Claim, ...]) -> frozenset[str]:
    if len(claims) <= 1:
        return frozenset(claim.client for claim in claims)
    first = min(claims, key=lambda claim: (claim.first, claim.client))
    return frozenset(claim.client for claim in claims if claim.is_creator or claim is first)


def _is_contested(claims: tuple[Claim, ...]) -> bool:
    return len(claims) > 1 and len(_owners(claims)) < len(claims)


def _read_naming(key: bytes, content: Any) -> Naming | None:
    try:
        customer, client, *at = orjson.loads(key)
        is_creator = content["creator"]
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError):
        return None
    if not (isinstance(customer, str) and isinstance(client, str) and isinstance(is_creator, bool)):
        return None
    if len(at) != len(NamedAt._fields) or any(type(number) is not int for number in at):
        return None
    return Naming(customer, client, NamedAt(*at), is_creator)
