"""SEP-31's callback body: ``{"transaction": …}`` as ``GET /transactions/:id`` of SEP-31 has it."""

from __future__ import annotations

from typing import Final

from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import (
    SUM_MEMBERS,
    TIME_MEMBERS,
    member_table,
    read_members,
    requested_fields,
    scalar,
    stellar_transaction_id,
    text,
)
from eventproc.payloads.refunds import flat_refunds, is_fully_refunded
from eventproc.payloads.subject import transaction_of

_MEMBERS: Final = member_table(
    {
        "status": text,
        "status_eta": scalar,
        "fields": requested_fields,  # of the platform's class from about 4.8 on
        **SUM_MEMBERS,
        "stellar_account_id": ("destination_account", text),
        "stellar_memo": ("memo", text),
        "stellar_memo_type": ("memo_type", text),
        **TIME_MEMBERS,
        "required_info_updates": requested_fields,
        "required_info_message": text,
    }
)


def sep31_body(event: Event, context: PayloadContext, now: float) -> bytes:  # noqa: ARG001 - one shape for all builders
    """The body for one event; SEP-31 has no ``more_info_url``, so it depends on the event alone."""
    transaction, transaction_id = transaction_of(event)
    body = {"id": transaction_id, **read_members(transaction, _MEMBERS)}
    if "required_info_message" not in body:
        # The platform stores SEP-31's required_info_message as the transaction's message.
        body |= present(required_info_message=text(transaction.get("message")))
    body |= present(
        stellar_transaction_id=stellar_transaction_id(transaction),
        refunded=is_fully_refunded(transaction),
        refunds=flat_refunds(transaction, with_id_type=False),
    )
    return encode({"transaction": body})
