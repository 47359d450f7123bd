"""Example events: what an anchor would publish, made up, marked by ids that begin with ``example-``.

For trying a receiver, an endpoint or a whole installation. They hold what real ones hold (the recorded
samples in the tests are the pattern), with the present time, and belong to whom one likes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from eventproc.errors import EventprocError
from eventproc.events import EventType
from eventproc.payloads import Sep
from eventproc.records import Headers
from eventproc.strkey import encode_account
from eventproc.times import iso
from settings.clients import Client

PREFIX: Final = "example-"
MESSAGE: Final = "This is an example event. No money moves."

KINDS: Final = {
    Sep.SEP6: ("deposit", "withdrawal", "deposit-exchange", "withdrawal-exchange"),
    Sep.SEP24: ("deposit", "withdrawal"),
    Sep.SEP31: ("receive",),
}
"""The kinds of each SEP's transactions; the first is what is made when none is asked for."""

STATUSES: Final = (
    *("incomplete", "pending_user_transfer_start", "pending_user_transfer_complete", "pending_external"),
    *("pending_anchor", "pending_stellar", "pending_trust", "pending_user", "pending_sender"),
    *("pending_receiver", "pending_customer_info_update", "pending_transaction_info_update", "on_hold"),
    *("completed", "refunded", "expired", "error", "no_market", "too_small", "too_large"),
)
CUSTOMER_STATUSES: Final = ("ACCEPTED", "PROCESSING", "NEEDS_INFO", "REJECTED")

_FIAT: Final = "iso4217:USD"
_FIRST_STATUS: Final = {Sep.SEP6: "incomplete", Sep.SEP24: "incomplete", Sep.SEP31: "pending_sender"}
_BEFORE_MONEY: Final = frozenset({"incomplete", "pending_sender", "expired", "error"})
_RECEIVED: Final = frozenset(
    {"completed", "pending_anchor", "pending_receiver", "pending_external", "refunded"}
)


class ExampleError(EventprocError):
    """No such event can be made; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose transaction it is, as routing finds it: by name, domain (noncustodial) or account (custodial)."""

    name: str | None = None
    domain: str | None = None
    account: str | None = None


def owner_of(client: Client) -> Owner:
    """A client of the configuration, by all that routing may know it by."""
    return Owner(client.name, next(iter(client.domains), None), next(iter(client.signing_keys), None))


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; None: what is usual. ``sep`` is that of the transaction, or 12 of a customer."""

    type: EventType
    sep: Sep | None = None
    kind: str | None = None
    status: str | None = None
    transaction_id: str | None = None
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One record of the source topic; ``key`` is the event's id, as the Anchor Platform has it."""

    event_id: str
    type: EventType
    value: bytes

    @property
    def key(self) -> bytes:
        """The record's key."""
        return self.event_id.encode()

    @property
    def headers(self) -> Headers:
        """The record's headers."""
        return [("type", self.type.value.encode())]


def make_examples(
    wish: Wish, owner: Owner, *, now: datetime, new_id: Callable[[], str], count: int = 1
) -> list[Example]:
    """Make them.

    Args:
        wish: what is asked for.
        owner: whose they are.
        now: the time of the first; each further one of the same transaction is a second later.
        new_id: gives a different text at each call, a UUID in practice.
        count: how many. With ``wish.transaction_id`` all are of that transaction, else each is of its own.

    Raises:
        ExampleError: kind, status or SEP do not fit.
    """
    _check(wish)
    return [_example(wish, owner, now + timedelta(seconds=number), new_id) for number in range(count)]


def teacher(
    owner: Owner, sep: Sep, customer_event: Example, *, now: datetime, new_id: Callable[[], str]
) -> Example:
    """A transaction of the owner that names the customer of a ``customer_updated``.

    That type names no client: the router knows a customer from transactions alone, so this one goes first.
    """
    customer_id = json.loads(customer_event.value)["customer"]["id"]
    wish = Wish(EventType.TRANSACTION_STATUS_CHANGED, sep, customer_id=customer_id)
    return _example(wish, owner, now, new_id)


def example_account(name: str) -> str:
    """A valid account (G…) that nobody has the key of, always the same for a name."""
    return encode_account(hashlib.sha256(f"eventproc example {name}".encode()).digest())


def _check(wish: Wish) -> None:
    is_transaction = wish.type in {EventType.TRANSACTION_CREATED, EventType.TRANSACTION_STATUS_CHANGED}
    if not is_transaction and (wish.kind is not None or wish.transaction_id is not None):
        raise ExampleError(
            f"{wish.type.value} has no transaction: leave out the kind and the transaction's id"
        )
    if wish.type is EventType.QUOTE_CREATED and (wish.status is not None or wish.sep is not None):
        raise ExampleError("a quote has no status, and its SEP is 38: leave them out")
    if wish.type is EventType.CUSTOMER_UPDATED:
        _must_be("status", wish.status, CUSTOMER_STATUSES)
        if wish.sep not in {None, Sep.SEP12}:
            raise ExampleError("customer_updated belongs to SEP 12: leave out the SEP")
    if is_transaction:
        if wish.sep is Sep.SEP12:
            raise ExampleError("SEP 12 has no transactions, they are of SEP 6, 24 or 31")
        _must_be("status", wish.status, STATUSES)
        _must_be("kind", wish.kind, KINDS[wish.sep or Sep.SEP24])


def _must_be(what: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise ExampleError(f"there is no {what} {value}; right: {', '.join(known)}")


def _example(wish: Wish, owner: Owner, now: datetime, new_id: Callable[[], str]) -> Example:
    event_id = PREFIX + new_id()
    event: dict[str, Any] = {"type": wish.type.value, "id": event_id}
    if wish.type is EventType.QUOTE_CREATED:
        event |= {"sep": "38", "quote": _quote(owner, now, new_id)}
    elif wish.type is EventType.CUSTOMER_UPDATED:
        event |= {"sep": "12", "customer": _customer(wish.status or "ACCEPTED", new_id)}
    else:
        sep = wish.sep or Sep.SEP24
        event |= {"sep": sep.value, "transaction": _transaction(wish, sep, owner, now, new_id)}
    return Example(event_id, wish.type, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())


def _transaction(
    wish: Wish, sep: Sep, owner: Owner, now: datetime, new_id: Callable[[], str]
) -> dict[str, Any]:
    kind = wish.kind or KINDS[sep][0]
    usual = _FIRST_STATUS[sep] if wish.type is EventType.TRANSACTION_CREATED else "completed"
    status = wish.status or usual
    account = owner.account or example_account("user")
    identifier = wish.transaction_id or PREFIX + new_id()
    customer = (
        wish.customer_id or PREFIX + hashlib.sha256(f"{owner.name} {account}".encode()).hexdigest()[:12]
    )
    sender = account if kind != "receive" else owner.account or example_account("sender")
    transaction = {
        "id": identifier,
        "sep": sep.value,
        "kind": kind,
        "status": status,
        **_amounts(kind, status),
        **_times(status, now),
        "message": MESSAGE,
        **_settlement(kind, status, now, account),
        "source_account": sender,
        "destination_account": account if kind.startswith("deposit") else example_account("anchor"),
        "external_transaction_id": f"{PREFIX}bank-reference" if status in _RECEIVED else None,
        **_memo(sep, kind, status),
        "client_domain": owner.domain,
        "client_name": owner.name,
        "customers": {"sender": {"id": customer, "account": sender}, "receiver": {"id": f"{PREFIX}receiver"}},
        "creator": {"id": customer, "account": account},
        "fundingMethod": "bank_account",
    }
    return {name: value for name, value in transaction.items() if value is not None}


def _amounts(kind: str, status: str) -> dict[str, Any]:
    stellar = f"stellar:USDC:{example_account('issuer')}"
    into, out = (_FIAT, stellar) if kind.startswith("deposit") else (stellar, _FIAT)
    amounts: dict[str, Any] = {"amount_expected": {"amount": "100.50", "asset": into}}
    if status not in _BEFORE_MONEY:
        amounts["amount_in"] = {"amount": "100.50", "asset": into}
        amounts["amount_out"] = {"amount": "98.25", "asset": out}
        amounts["fee_details"] = {
            "total": "2.25",
            "asset": into,
            "details": [{"name": "Service fee", "amount": "2.25"}],
        }
    if status == "refunded":
        amounts["refunds"] = _refunds(into)
    return amounts


def _refunds(asset: str) -> dict[str, Any]:
    amount, fee = {"amount": "100.00", "asset": asset}, {"amount": "0.50", "asset": asset}
    payment = {"id": f"{PREFIX}refund", "id_type": "external", "amount": amount, "fee": fee}
    return {"amount_refunded": amount, "amount_fee": fee, "payments": [payment]}


def _times(status: str, now: datetime) -> dict[str, Any]:
    times = {"started_at": iso(now - timedelta(minutes=5)), "updated_at": iso(now)}
    if status in {"completed", "refunded"}:
        times["completed_at"] = iso(now)
    if status in _RECEIVED:
        times["transfer_received_at"] = iso(now - timedelta(minutes=1))
    if status == "pending_user_transfer_start":
        times["user_action_required_by"] = iso(now + timedelta(hours=1))
    return times


def _settlement(kind: str, status: str, now: datetime, account: str) -> dict[str, Any]:
    """The payment on Stellar, which a deposit makes at its end and all others begin with."""
    is_settled = status == "completed" or (status in _RECEIVED and not kind.startswith("deposit"))
    if not is_settled:
        return {}
    paying, paid = example_account("anchor"), account
    if not kind.startswith("deposit"):
        paying, paid = paid, paying
    payment = {
        "id": f"{PREFIX}payment",
        "amount": {"amount": "98.2500000", "asset": f"stellar:USDC:{example_account('issuer')}"},
        "payment_type": "payment",
        "source_account": paying,
        "destination_account": paid,
    }
    digest = hashlib.sha256(f"eventproc example {account}".encode()).hexdigest()
    return {"stellar_transactions": [{"id": digest, "created_at": iso(now), "payments": [payment]}]}


def _memo(sep: Sep, kind: str, status: str) -> dict[str, Any]:
    memo: dict[str, Any] = {"memo": "4242", "memo_type": "id"}
    if kind.startswith("withdrawal"):
        memo["withdraw_anchor_account"] = example_account("anchor")
    if sep is Sep.SEP6 and kind.startswith("deposit") and status == "pending_user_transfer_start":
        memo["instructions"] = {
            "organization.bank_number": {"value": "000000000", "description": "An example bank number"},
            "organization.bank_account_number": {"value": "0000000000"},
        }
    return memo


def _quote(owner: Owner, now: datetime, new_id: Callable[[], str]) -> dict[str, Any]:
    return {
        "id": PREFIX + new_id(),
        "sell_amount": "106",
        "sell_asset": _FIAT,
        "sell_delivery_method": "WIRE",
        "buy_amount": "100",
        "buy_asset": f"stellar:USDC:{example_account('issuer')}",
        "expires_at": iso(now + timedelta(minutes=10)),
        "price": "1.02",
        "total_price": "1.06",
        "creator": {"account": owner.account or example_account("user")},
        "created_at": iso(now),
        "fee": {"total": "4.00", "asset": _FIAT, "details": [{"name": "Service fee", "amount": "4.00"}]},
    }


def _customer(status: str, new_id: Callable[[], str]) -> dict[str, Any]:
    customer: dict[str, Any] = {"id": PREFIX + new_id(), "status": status, "message": MESSAGE}
    provided = {"type": "string", "description": "The customer's last name", "status": "ACCEPTED"}
    customer["provided_fields"] = {"last_name": provided}
    if status == "NEEDS_INFO":
        customer["fields"] = {
            "email_address": {"type": "string", "description": "The customer's email", "optional": False}
        }
    return customer
