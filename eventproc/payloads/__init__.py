"""Step 5 – body: what one destination is sent for one event.

A new SEP's body is one file here and its lines in ``BUILDERS``. ``client_target`` says which body an event
has for wallets:

- a ``Sep``: that SEP's body, at the client's URL for it. A transaction comes before a customer.
- ``UnknownSep``: a transaction whose SEP has no body; the copy of each client it belongs to is a dead letter.
- ``Misfit``: SEP-24 with kind ``receive``; the record goes to the invalid topic, beside the business server.
- None: nothing for wallets (quotes, and events without their own object).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from eventproc.errors import PayloadError
from eventproc.events import Event, EventType
from eventproc.payloads.context import MoreInfoUrl, PayloadContext
from eventproc.payloads.platform_event import platform_event_body
from eventproc.payloads.sep6 import sep6_body
from eventproc.payloads.sep12 import sep12_body
from eventproc.payloads.sep24 import sep24_body
from eventproc.payloads.sep31 import sep31_body

__all__ = [
    "BUILDERS",
    "Misfit",
    "MoreInfoUrl",
    "PayloadContext",
    "Sep",
    "UnknownSep",
    "business_server_body",
    "client_body",
    "client_target",
]


class Sep(enum.Enum):
    """The SEPs that a client can have a callback URL for."""

    SEP6 = "6"
    SEP12 = "12"
    SEP24 = "24"
    SEP31 = "31"


@dataclass(frozen=True, slots=True)
class UnknownSep:
    """A transaction's SEP for which there is no body; None when the event names none."""

    value: str | None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A transaction that its own SEP cannot express, for any client."""

    detail: str


Builder = Callable[[Event, PayloadContext, float], bytes]
"""(event, settings, now in seconds since the epoch) -> body; raises PayloadError."""

_TRANSACTION_BUILDERS: Final[dict[Sep, Builder]] = {
    Sep.SEP6: sep6_body,
    Sep.SEP24: sep24_body,
    Sep.SEP31: sep31_body,
}

BUILDERS: Final[Mapping[tuple[EventType, Sep], Builder]] = MappingProxyType(
    {
        **{(EventType.TRANSACTION_CREATED, sep): builder for sep, builder in _TRANSACTION_BUILDERS.items()},
        **{
            (EventType.TRANSACTION_STATUS_CHANGED, sep): builder
            for sep, builder in _TRANSACTION_BUILDERS.items()
        },
        **{(EventType.CUSTOMER_UPDATED, sep): builder for sep, builder in _TRANSACTION_BUILDERS.items()},
        (EventType.CUSTOMER_UPDATED, Sep.SEP12): sep12_body,
    }
)
"""(event type, SEP) -> builder. Quotes have no line: they never go to wallets."""


def business_server_body(event: Event, timestamp_ms: int) -> bytes:
    """The business server's body; ``timestamp_ms`` is the record's Kafka timestamp."""
    return platform_event_body(event, timestamp_ms)


def client_body(event: Event, sep: Sep, context: PayloadContext, now: float) -> bytes:
    """A wallet's body for one SEP; built anew at every attempt, as ``more_info_url`` holds a token.

    Raises PayloadError, naming what is missing, when this event has no such body.
    """
    builder = BUILDERS.get((event.type, sep))
    if builder is None:
        raise PayloadError(
            f"event {event.id}: {event.type.value} has no body for SEP-{sep.value}: check the routing"
        )
    return builder(event, context, now)


def client_target(event: Event) -> Sep | UnknownSep | Misfit | None:
    """Which body wallets get for this event; see the module's docstring."""
    if event.type is EventType.QUOTE_CREATED:
        return None
    if event.transaction is not None:
        if event.sep == Sep.SEP24.value and event.transaction.get("kind") == "receive":
            return Misfit("SEP-24 has no kind receive")
        return _TRANSACTION_SEPS.get(event.sep or "") or UnknownSep(event.sep)
    if event.type is EventType.CUSTOMER_UPDATED and event.customer is not None:
        return Sep.SEP12
    return None


_TRANSACTION_SEPS: Final = {sep.value: sep for sep in _TRANSACTION_BUILDERS}
