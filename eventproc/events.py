"""Step 1 – decode: the bytes of a ``TRANSACTION`` record become an event, or the reason why not.

Two readers, one result. orjson reads nearly every record: the platform writes no numbers, and strings and
objects lose nothing. A record with a number in it (or one that orjson refuses) is read again by the standard
library, which hands over a number's own text: ``1.10``, ``1E+2`` and thirty digits stay as written. Dropped:
``float`` or ``Decimal`` amounts (either changes what goes out), and a scan for numbers in the bytes (slower
than looking at the parsed object, and wrong about digits within strings).

What is changed on the way in, so that nobody behind has to think of it:

- A number where the platform's model has a string (``sep``, ids, amounts) becomes that string, digits as
  written; the platform's own reader does so. Any other number stays a ``Number``.
- Half a surrogate pair (an escaped U+D800 alone) is valid JSON but no text and cannot be sent as UTF-8: it
  becomes U+FFFD. The platform sends ``?`` for it.
- Of duplicate keys the last wins, so that all receivers read the same.

A byte order mark, ``NaN``, single quotes and trailing text are not JSON. Nesting is bounded, as in the
platform's reader, because what is read here must be writable again.

Long for a module, because the table of what is a string in the platform's model stands beside its one user.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from eventproc.identifiers import EventId, LaneKey

MAX_DEPTH: Final = 200
"""Levels of nesting; orjson writes 254, and a body adds a few of its own."""

_SHOWN_TYPE_CHARACTERS: Final = 64


class EventType(enum.Enum):
    """What happened; the value is the canonical spelling, which goes out to the business server."""

    TRANSACTION_CREATED = "transaction_created"
    TRANSACTION_STATUS_CHANGED = "transaction_status_changed"
    QUOTE_CREATED = "quote_created"
    CUSTOMER_UPDATED = "customer_updated"


class InvalidReason(enum.Enum):
    """Why a record goes to the invalid topic; the value stands in a header there."""

    EMPTY = "empty"
    NULL = "null"
    NOT_JSON = "not-json"
    TOO_DEEP = "too-deep"
    NOT_AN_OBJECT = "not-an-object"
    NO_ID = "no-id"
    NO_TYPE = "no-type"
    UNKNOWN_TYPE = "unknown-type"
    MEMBER_NOT_AN_OBJECT = "member-not-an-object"


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number by its own text, to be written again exactly so."""

    text: str


class Attribution(NamedTuple):
    """The client that the platform attributes an event to: ``clientName``, ``clientDomain``, from 4.4 on.

    None: the record does not say. ``is_text`` is False when one of the two is present and not text: then the
    record names a client, and it is unknown which.
    """

    name: str | None
    domain: str | None
    is_text: bool = True


class Event(NamedTuple):
    """One event of the anchor.

    ``sep`` is the transaction's own, else the event's, as text. ``transaction``, ``quote`` and ``customer``
    are the record's objects, None when absent or null; their values are str, bool, None, list, dict and
    ``Number``, never int or float. ``raw`` is the record's value, untouched. ``is_plain``: there is no
    number in it, so any JSON reader gives the same. ``attribution`` is None when the record names no client
    at its top level (platform 4.3 and earlier).
    """

    id: EventId
    type: EventType
    sep: str | None
    transaction: dict[str, Any] | None
    quote: dict[str, Any] | None
    customer: dict[str, Any] | None
    raw: bytes
    is_plain: bool = False
    attribution: Attribution | None = None

    @property
    def lane_key(self) -> LaneKey:
        """What keeps this event in order: the id of the transaction, customer or quote, else its own."""
        for subject in (self.transaction, self.customer, self.quote):
            key = None if subject is None else subject.get("id")
            if key and isinstance(key, str):
                return LaneKey(key)
        return LaneKey(self.id)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is no event. ``detail`` never holds the record's content, except an unknown type."""

    reason: InvalidReason
    detail: str


def decode(value: bytes | None) -> Event | Unreadable:
    """Read one record's value. Never raises, whatever the bytes.

    Accepted beyond the plain form (wire.md, "Odd records"): the type in upper case, ids and ``sep`` as
    numbers, explicit nulls, a missing own object. Kinds and statuses are not judged here: a SEP-24
    ``receive`` is an event for the business server, and only the wallet's body cannot be built from it.
    """
    if not value:
        return Unreadable(InvalidReason.EMPTY, "the record has no value")
    try:
        parsed = orjson.loads(value)
        is_plain = _is_plain(parsed)
    except orjson.JSONDecodeError:  # orjson also refuses half a surrogate pair and deep nesting
        is_plain = False
    if not is_plain:
        parsed = _parse_exactly(value)
    if isinstance(parsed, Unreadable):
        return parsed
    if parsed is None:
        return Unreadable(InvalidReason.NULL, "the record's value is the literal null")
    if not isinstance(parsed, dict):
        return Unreadable(InvalidReason.NOT_AN_OBJECT, "the record's value is JSON, but no object")
    return _event(parsed, value, is_plain=is_plain)


def _event(parsed: dict[str, Any], raw: bytes, *, is_plain: bool) -> Event | Unreadable:
    event_id = _text(parsed.get("id"))
    if not event_id:
        return Unreadable(InvalidReason.NO_ID, "the event's id is missing, null, empty or no text")
    event_type = _event_type(parsed.get("type"))
    if isinstance(event_type, Unreadable):
        return event_type
    objects = transaction, quote, customer = [parsed.get(name) for name in _OBJECTS]
    for name, value in zip(_OBJECTS, objects, strict=True):
        if value is not None and type(value) is not dict:
            return Unreadable(InvalidReason.MEMBER_NOT_AN_OBJECT, f"the event's {name} is not an object")
    own_sep = None if transaction is None else _text(transaction.get("sep"))
    sep = own_sep or _text(parsed.get("sep")) or None
    attribution = _attribution(parsed)
    return Event(EventId(event_id), event_type, sep, transaction, quote, customer, raw, is_plain, attribution)


def _attribution(parsed: dict[str, Any]) -> Attribution | None:
    """Null and the empty string name no client, like a missing member."""
    name, domain = parsed.get("clientName"), parsed.get("clientDomain")
    if (name is None or name == "") and (domain is None or domain == ""):  # either may be a list
        return None
    return Attribution(
        _text(name) or None,
        _text(domain) or None,
        is_text=(name is None or _text(name) is not None) and (domain is None or _text(domain) is not None),
    )


_OBJECTS: Final = ("transaction", "quote", "customer")


# The platform's reader knows a type by its value and by its Java constant, which is the value in upper case.
_TYPES: Final = {spelling: kind for kind in EventType for spelling in (kind.value, kind.value.upper())}


def _event_type(name: object) -> EventType | Unreadable:
    if name is None:
        return Unreadable(InvalidReason.NO_TYPE, "the event's type is missing or null")
    text = _text(name)
    if text is None:
        return Unreadable(InvalidReason.UNKNOWN_TYPE, "the event's type is no text")
    known = _TYPES.get(text)
    if known is None:
        return Unreadable(InvalidReason.UNKNOWN_TYPE, f"unknown event type {text[:_SHOWN_TYPE_CHARACTERS]!r}")
    return known


def _text(value: object) -> str | None:
    if type(value) is str:
        return value
    return value.text if isinstance(value, Number) else None


def _is_plain(parsed: Any) -> bool:
    """Whether there is no number in it that may have lost digits, and surely no deep nesting."""
    if type(parsed) is not dict:
        return True  # a bare value is no event anyway, and a list neither
    containers: list[Any] = [parsed]
    for container in containers:  # which grows meanwhile
        for member in container.values() if type(container) is dict else container:
            kind = type(member)
            if kind is str:
                continue
            if kind is dict or kind is list:
                containers.append(member)
            elif kind is int or kind is float:
                return False
    return len(containers) <= MAX_DEPTH


def _parse_exactly(value: bytes) -> Any:
    try:
        parsed = json.loads(
            value.decode(), parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        return Unreadable(InvalidReason.NOT_JSON, f"not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        return Unreadable(InvalidReason.NOT_JSON, f"not JSON at character {error.pos}")
    except ValueError:
        return Unreadable(InvalidReason.NOT_JSON, "not JSON: NaN and Infinity are no numbers there")
    except RecursionError:
        return _TOO_DEEP
    if _is_too_deep(parsed):
        return _TOO_DEEP
    parsed = _mend(parsed)
    return _spell_out(parsed, _EVENT) if isinstance(parsed, dict) else parsed


_TOO_DEEP: Final = Unreadable(InvalidReason.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _is_too_deep(parsed: Any) -> bool:
    level = [parsed] if isinstance(parsed, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            member
            for container in level
            for member in (container.values() if isinstance(container, dict) else container)
            if isinstance(member, (dict, list))
        ]
    return bool(level)


_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")  # whole pairs are one character by now


def _mend(value: Any) -> Any:
    """Replace halves of surrogate pairs, in keys too."""
    if isinstance(value, str):
        return value if value.isascii() else _HALF_PAIR.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_mend(name): _mend(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_mend(member) for member in value]
    return value


# Where the platform's classes (PlatformTransactionData, GetQuoteResponse, Sep12GetCustomerResponse) have a
# string: a number there is that string. Instants are not among them: they go out as they came.
_TEXT: Final = "text"
_ANY_NAME: Final = "*"


def _texts(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, _TEXT)


_AMOUNT: Final = _texts("amount", "asset")
_FEE: Final = {**_texts("total", "asset"), "details": [_texts("name", "description", "amount")]}
_PERSON: Final = _texts("id", "account", "memo")
_PAYMENT: Final = {**_texts("id", "payment_type", "source_account", "destination_account"), "amount": _AMOUNT}
_FIELD: Final = {**_texts("type", "description", "status", "error"), "choices": [_TEXT]}
_REQUESTED: Final = {_ANY_NAME: {_ANY_NAME: {"description": _TEXT, "choices": [_TEXT]}}}
_TRANSACTION: Final[Mapping[str, Any]] = {
    **_texts(
        "id", "sep", "kind", "status", "type", "quote_id", "message", "source_account", "memo", "memo_type"
    ),
    **_texts("destination_account", "external_transaction_id", "refund_memo", "refund_memo_type"),
    **_texts("withdraw_anchor_account", "client_domain", "client_name", "required_info_message"),
    **_texts("request_client_ip_address", "fundingMethod", "funding_method"),
    **dict.fromkeys(("amount_expected", "amount_in", "amount_out"), _AMOUNT),
    "fee_details": _FEE,
    "refunds": {
        "amount_refunded": _AMOUNT,
        "amount_fee": _AMOUNT,
        "payments": [{**_texts("id", "id_type"), "amount": _AMOUNT, "fee": _AMOUNT}],
    },
    "stellar_transactions": [{**_texts("id", "memo", "memo_type", "envelope"), "payments": [_PAYMENT]}],
    "customers": {"sender": _PERSON, "receiver": _PERSON},
    "creator": _PERSON,
    "required_info_updates": ([_TEXT], _REQUESTED),  # a list before platform 4.8
    "fields": _REQUESTED,
    "instructions": {_ANY_NAME: _texts("value", "description")},
}
_QUOTE: Final[Mapping[str, Any]] = {
    **_texts("id", "sell_amount", "sell_asset", "sell_delivery_method", "buy_amount", "buy_asset"),
    **_texts("buy_delivery_method", "price", "total_price", "transaction_id"),
    "creator": _PERSON,
    "fee": _FEE,
}
_CUSTOMER: Final[Mapping[str, Any]] = {
    **_texts("id", "status", "message"),
    "fields": {_ANY_NAME: _FIELD},
    "provided_fields": {_ANY_NAME: _FIELD},
}
_EVENT: Final = {"transaction": _TRANSACTION, "quote": _QUOTE, "customer": _CUSTOMER}


def _spell_out(value: Any, shape: Any) -> Any:
    """Turn numbers into text where ``shape`` says so; everything else stays.

    A tuple has a shape for each type that the member had in the platform's releases.
    """
    if isinstance(shape, tuple):
        shape = next((one for one in shape if type(one) is type(value)), None)
    if isinstance(value, Number):
        return value.text if shape is _TEXT else value
    if isinstance(value, dict) and isinstance(shape, dict):
        any_name = shape.get(_ANY_NAME)
        return {name: _spell_out(member, shape.get(name, any_name)) for name, member in value.items()}
    if isinstance(value, list) and isinstance(shape, list):
        return [_spell_out(member, shape[0]) for member in value]
    return value
