"""SEP-6's callback body: ``{"transaction": …}`` as ``GET /transaction`` of SEP-6 has it."""

from __future__ import annotations

from typing import Final

from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    Members,
    amount,
    asset,
    fee_details,
    info_updates,
    instructions,
    scalar,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.more_info import more_info_url
from eventproc.payloads.refunds import nested_refunds
from eventproc.payloads.subject import transaction_of

_DEPOSITS: Final = frozenset({"deposit", "deposit-exchange"})
_WITHDRAWALS: Final = frozenset({"withdrawal", "withdrawal-exchange"})


def sep6_body(event: Event, context: PayloadContext, now: float) -> bytes:
    """The body for one event; a kind that is none of SEP-6's goes out as it is, without the memo."""
    transaction, transaction_id = transaction_of(event)
    kind = text(transaction.get("kind"))
    more_info = more_info_url(context.more_info_sep6, transaction, transaction_id, context.client_name, now)
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
        from_=text(transaction.get("source_account")),
        to=text(transaction.get("destination_account")),
        started_at=scalar(transaction.get("started_at")),
        updated_at=scalar(transaction.get("updated_at")),
        completed_at=scalar(transaction.get("completed_at")),
        user_action_required_by=scalar(transaction.get("user_action_required_by")),
        stellar_transaction_id=stellar_transaction_id(transaction),
        external_transaction_id=text(transaction.get("external_transaction_id")),
        message=text(transaction.get("message")),
        refunds=nested_refunds(transaction),
        required_info_message=text(transaction.get("required_info_message")),
        required_info_updates=info_updates(transaction.get("required_info_updates")),
        instructions=instructions(transaction.get("instructions")),
    )
    return encode({"transaction": {**body, **_members_by_kind(kind, transaction)}})


def _members_by_kind(kind: str | None, transaction: Members) -> Members:
    memo, memo_type = text(transaction.get("memo")), text(transaction.get("memo_type"))
    if kind in _DEPOSITS:
        return present(deposit_memo=memo, deposit_memo_type=memo_type)
    if kind in _WITHDRAWALS:
        return present(
            withdraw_anchor_account=text(transaction.get("withdraw_anchor_account")),
            withdraw_memo=memo,
            withdraw_memo_type=memo_type,
        )
    return {}
