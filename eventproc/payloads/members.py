"""Reading an event's members for a wallet: a member of the wrong type is as good as absent.

Wallet bodies are built from what the event has. A record written by hand may have a list where an object
belongs; that must cost the wallet this one member and not the whole event, hence no error is raised here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from eventproc.events import Number
from eventproc.payloads.json_bytes import present, without_nulls

Members = dict[str, Any]
"""A JSON object of a decoded record."""

Reader: TypeAlias = Callable[[Any], Any]
"""From a member's value to what is sent; None: nothing."""

MemberTable: TypeAlias = tuple[tuple[str, str, Reader, bool], ...]
"""For each member of a body: its name, the transaction's name for it, its reader, and whether text goes
as it is."""


def member_table(members: Mapping[str, Reader | tuple[str, Reader]]) -> MemberTable:
    """A table from ``{name: reader}``, or ``{name: (name in the transaction, reader)}`` where they differ."""
    rows = []
    for name, given in members.items():
        source, reader = given if isinstance(given, tuple) else (name, given)
        rows.append((name, source, reader, reader in _TEXT_AS_IT_IS))
    return tuple(rows)


def read_members(transaction: Members, table: MemberTable) -> Members:
    """The members of a body that the transaction has, in the table's order.

    A loop over a table, as it runs for every body: half the time of a call for each member.
    """
    get = transaction.get
    found: Members = {}
    for name, source, reader, text_as_it_is in table:
        value = get(source)
        if value is None:
            continue
        if not (text_as_it_is and type(value) is str):
            value = reader(value)
            if value is None:
                continue
        found[name] = value
    return found


def text(value: Any) -> str | None:
    """A string; a number or a boolean by its own spelling, as the platform's reader (Gson) takes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else None


def scalar(value: Any) -> str | bool | Number | None:
    """A value as received (instants, ``status_eta``), unless it is an object or a list."""
    return value if isinstance(value, (str, bool, Number)) else None


def mapping(value: Any) -> Members | None:
    """An object."""
    return value if isinstance(value, dict) else None


def mappings(value: Any) -> list[Members]:
    """The objects of a list; empty when it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def amount(value: Any) -> str | None:
    """The amount of ``{amount, asset}``; a plain string or number is an amount without asset."""
    return text(value.get("amount")) if isinstance(value, dict) else text(value)


def asset(value: Any) -> str | None:
    """The asset of ``{amount, asset}``; it may be there without an amount (a new SEP-31 transaction)."""
    return text(value.get("asset")) if isinstance(value, dict) else None


def fee_details(value: Any) -> Members | None:
    """``{total, asset, details[{name, description, amount}]}``; a plain string or number is the total."""
    if not isinstance(value, dict):
        total = text(value)
        return None if total is None else {"total": total}
    details = value.get("details")
    return (
        present(
            total=text(value.get("total")),
            asset=text(value.get("asset")),
            details=[
                present(
                    name=text(item.get("name")),
                    description=text(item.get("description")),
                    amount=text(item.get("amount")),
                )
                for item in mappings(details)
            ]
            if isinstance(details, list)
            else None,
        )
        or None
    )


def instructions(value: Any) -> Members | None:
    """``{<SEP-9 field>: {value, description}}``."""
    if not isinstance(value, dict):
        return None
    return {
        name: present(value=text(field.get("value")), description=text(field.get("description")))
        for name, field in value.items()
        if isinstance(field, dict)
    }


def requested_fields(value: Any) -> Members | None:
    """``required_info_updates`` as SEP-6 and SEP-31 define it: an object, as received, without nulls.

    The platform before 4.8 has a list of names in its model, which a wallet that follows the SEP cannot read.
    """
    if not isinstance(value, dict):
        return None
    cleaned: Members = without_nulls(value)
    return cleaned


def stellar_transaction_id(transaction: Members) -> str | None:
    """The id of the first Stellar transaction."""
    first = next(iter(mappings(transaction.get("stellar_transactions"))), None)
    return None if first is None else text(first.get("id"))


_TEXT_AS_IT_IS: Final = (text, scalar, amount)

SUM_MEMBERS: Final[Mapping[str, Reader | tuple[str, Reader]]] = {
    "status": text,
    "status_eta": scalar,
    "amount_in": amount,
    "amount_in_asset": ("amount_in", asset),
    "amount_out": amount,
    "amount_out_asset": ("amount_out", asset),
    "fee_details": fee_details,
    "quote_id": text,
}
"""How it stands and what it is about, alike in SEP-6, SEP-24 and SEP-31."""

TIME_MEMBERS: Final[Mapping[str, Reader | tuple[str, Reader]]] = {
    "started_at": scalar,
    "updated_at": scalar,
    "completed_at": scalar,
    "user_action_required_by": scalar,
    "external_transaction_id": text,
}
"""Its points in time and its name outside of Stellar, alike in all three."""

PARTY_MEMBERS: Final[Mapping[str, Reader | tuple[str, Reader]]] = {
    "message": text,
    "from": ("source_account", text),
    "to": ("destination_account", text),
}
"""What SEP-6 and SEP-24 have beside."""

WITHDRAWAL: Final = member_table(
    {
        "withdraw_anchor_account": text,
        "withdraw_memo": ("memo", text),
        "withdraw_memo_type": ("memo_type", text),
    }
)
"""What a withdrawal of SEP-6 or SEP-24 has beside."""
