"""Short ways to events and parsed bodies."""

from __future__ import annotations

import json
from typing import Any

from eventproc.events import Event, decode
from eventproc.payloads import PayloadContext, Sep, business_server_body, client_body

NO_MORE_INFO = PayloadContext(None, None)
NOW = 1_795_515_897.5


def event(value: bytes) -> Event:
    result = decode(value)
    assert isinstance(result, Event), result
    return result


def event_of(type_: str = "transaction_status_changed", **members: Any) -> Event:
    """An event with these members; a dict is written as JSON, so numbers arrive as numbers."""
    return event(json.dumps({"id": "e-1", "type": type_, **members}).encode())


def transaction_event(sep: str | None, **members: Any) -> Event:
    return event_of(transaction={"id": "t-1", "sep": sep, **members})


def wallet_transaction(
    sep: Sep, context: PayloadContext = NO_MORE_INFO, now: float = NOW, /, **members: Any
) -> dict[str, Any]:
    """The ``transaction`` of the wallet's body for a transaction with these members."""
    body = json.loads(client_body(transaction_event(sep.value, **members), sep, context, now))
    assert list(body) == ["transaction"]
    transaction: dict[str, Any] = body["transaction"]
    return transaction


def business_server_payload(found: Event) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(business_server_body(found, 0))["payload"]
    return payload
