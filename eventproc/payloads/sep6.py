"""SEP-6's callback body: ``{"transaction": …}`` as ``GET /transaction`` of SEP-6 has it."""

from __future__ import annotations

from typing import Final

from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    PARTY_MEMBERS,
    SUM_MEMBERS,
    TIME_MEMBERS,
    WITHDRAWAL,
    MemberTable,
    instructions,
    member_table,
    read_members,
    requested_fields,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.more_info import more_info_url
from eventproc.payloads.refunds import nested_refunds
from eventproc.payloads.subject import transaction_of

_MEMBERS: Final = member_table(
    {
        **SUM_MEMBERS,
        **TIME_MEMBERS,
        **PARTY_MEMBERS,
        "required_info_updates": requested_fields,
        "required_info_message": text,
        "instructions": instructions,
    }
)
_DEPOSIT: Final = member_table({"deposit_memo": ("memo", text), "deposit_memo_type": ("memo_type", text)})
_BY_KIND: Final[dict[str | None, MemberTable]] = {
    "deposit": _DEPOSIT,
    "deposit-exchange": _DEPOSIT,
    "withdrawal": WITHDRAWAL,
    "withdrawal-exchange": WITHDRAWAL,
}


def sep6_body(event: Event, context: PayloadContext, now: float) -> bytes:
    """The body for one event; a kind that is none of SEP-6's goes out as it is, without the memo."""
    transaction, transaction_id = transaction_of(event)
    kind = text(transaction.get("kind"))
    more_info = more_info_url(context.more_info_sep6, transaction, transaction_id, context.client_name, now)
    body = {
        "id": transaction_id,
        **present(kind=kind, more_info_url=more_info),
        **read_members(transaction, _MEMBERS),
        **present(
            stellar_transaction_id=stellar_transaction_id(transaction),
            refunds=nested_refunds(transaction),
        ),
    }
    if kind in _BY_KIND:
        body |= read_members(transaction, _BY_KIND[kind])
    return encode({"transaction": body})
