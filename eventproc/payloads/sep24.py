"""SEP-24's callback body: ``{"transaction": …}`` as ``GET /transaction`` of SEP-24 has it."""

from __future__ import annotations

from typing import Final

from eventproc.errors import PayloadError
from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    PARTY_MEMBERS,
    SUM_MEMBERS,
    TIME_MEMBERS,
    WITHDRAWAL,
    MemberTable,
    member_table,
    read_members,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.more_info import more_info_url
from eventproc.payloads.refunds import flat_refunds, is_fully_refunded
from eventproc.payloads.subject import transaction_of

_MEMBERS: Final = member_table({**SUM_MEMBERS, **TIME_MEMBERS, **PARTY_MEMBERS})
_BY_KIND: Final[dict[str | None, MemberTable]] = {
    "deposit": member_table(
        {
            "deposit_memo": ("memo", text),
            "deposit_memo_type": ("memo_type", text),
            "claimable_balance_id": text,
        }
    ),
    "withdrawal": WITHDRAWAL,
}
# SEP-24 knows two kinds; a transaction with a quote has the same members under the plain kind.
_PLAIN_KINDS: Final = {"deposit-exchange": "deposit", "withdrawal-exchange": "withdrawal"}


def sep24_body(event: Event, context: PayloadContext, now: float) -> bytes:
    """The body for one event. Raises PayloadError for kind ``receive``, which SEP-24 cannot express."""
    transaction, transaction_id = transaction_of(event)
    received_kind = text(transaction.get("kind"))
    if received_kind == "receive":
        raise PayloadError(
            f"event {event.id}: SEP-24 has no kind receive (deposit, withdrawal): correct its sep or kind"
        )
    kind = _PLAIN_KINDS.get(received_kind, received_kind) if received_kind is not None else None
    more_info = more_info_url(context.more_info_sep24, transaction, transaction_id, context.client_name, now)
    body = {
        "id": transaction_id,
        **present(kind=kind, more_info_url=more_info),
        **read_members(transaction, _MEMBERS),
        **present(
            stellar_transaction_id=stellar_transaction_id(transaction),
            refunded=is_fully_refunded(transaction),
            refunds=flat_refunds(transaction, with_id_type=True),
        ),
    }
    if kind in _BY_KIND:
        body |= read_members(transaction, _BY_KIND[kind])
    return encode({"transaction": body})
