"""SEP-24's callback body: ``{"transaction": …}`` as ``GET /transaction`` of SEP-24 has it."""

from __future__ import annotations

from typing import Final

from eventproc.errors import PayloadError
from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    Members,
    amount,
    asset,
    fee_details,
    scalar,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.more_info import more_info_url
from eventproc.payloads.refunds import flat_refunds, is_fully_refunded
from eventproc.payloads.subject import transaction_of

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
    body = present(
        id=transaction_id,
        kind=kind,
        status=text(transaction.get("status")),
        status_eta=scalar(transaction.get("status_eta")),
        more_info_url=more_info,
        amount_in=amount(transaction.get("amount_in")),
        amount_in_asset=asset(transaction.get("amount_in")),
        amount_out=amount(transaction.get("amount_out")),
        amount_out_asset=asset(transaction.get("amount_out")),
        fee_details=fee_details(transaction.get("fee_details")),
        quote_id=text(transaction.get("quote_id")),
        started_at=scalar(transaction.get("started_at")),
        updated_at=scalar(transaction.get("updated_at")),
        completed_at=scalar(transaction.get("completed_at")),
        user_action_required_by=scalar(transaction.get("user_action_required_by")),
        stellar_transaction_id=stellar_transaction_id(transaction),
        external_transaction_id=text(transaction.get("external_transaction_id")),
        message=text(transaction.get("message")),
        refunded=is_fully_refunded(transaction),
        refunds=flat_refunds(transaction, with_id_type=True),
        from_=text(transaction.get("source_account")),
        to=text(transaction.get("destination_account")),
    )
    return encode({"transaction": {**body, **_members_by_kind(kind, transaction)}})


def _members_by_kind(kind: str | None, transaction: Members) -> Members:
    memo, memo_type = text(transaction.get("memo")), text(transaction.get("memo_type"))
    if kind == "deposit":
        return present(
            deposit_memo=memo,
            deposit_memo_type=memo_type,
            claimable_balance_id=text(transaction.get("claimable_balance_id")),
        )
    if kind == "withdrawal":
        return present(
            withdraw_anchor_account=text(transaction.get("withdraw_anchor_account")),
            withdraw_memo=memo,
            withdraw_memo_type=memo_type,
        )
    return {}
