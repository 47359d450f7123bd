"""SEP-31's callback body: ``{"transaction": …}`` as ``GET /transactions/:id`` of SEP-31 has it."""

from __future__ import annotations

from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    amount,
    asset,
    fee_details,
    info_updates,
    scalar,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.refunds import flat_refunds, is_fully_refunded
from eventproc.payloads.subject import transaction_of


def sep31_body(event: Event, context: PayloadContext, now: float) -> bytes:  # noqa: ARG001 - one shape for all builders
    """The body for one event; SEP-31 has no ``more_info_url``, so it depends on the event alone."""
    transaction, transaction_id = transaction_of(event)
    own_info_message = text(transaction.get("required_info_message"))
    body = present(
        id=transaction_id,
        status=text(transaction.get("status")),
        status_eta=scalar(transaction.get("status_eta")),
        amount_in=amount(transaction.get("amount_in")),
        amount_in_asset=asset(transaction.get("amount_in")),
        amount_out=amount(transaction.get("amount_out")),
        amount_out_asset=asset(transaction.get("amount_out")),
        fee_details=fee_details(transaction.get("fee_details")),
        quote_id=text(transaction.get("quote_id")),
        stellar_account_id=text(transaction.get("destination_account")),
        stellar_memo=text(transaction.get("memo")),
        stellar_memo_type=text(transaction.get("memo_type")),
        started_at=scalar(transaction.get("started_at")),
        updated_at=scalar(transaction.get("updated_at")),
        completed_at=scalar(transaction.get("completed_at")),
        user_action_required_by=scalar(transaction.get("user_action_required_by")),
        stellar_transaction_id=stellar_transaction_id(transaction),
        external_transaction_id=text(transaction.get("external_transaction_id")),
        refunded=is_fully_refunded(transaction),
        refunds=flat_refunds(transaction, with_id_type=False),
        # The platform stores SEP-31's required_info_message as the transaction's message.
        required_info_message=text(transaction.get("message"))
        if own_info_message is None
        else own_info_message,
        required_info_updates=info_updates(transaction.get("required_info_updates")),
    )
    return encode({"transaction": body})
