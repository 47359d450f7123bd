"""What a wallet's body is about."""

from __future__ import annotations

from eventproc.errors import PayloadError
from eventproc.events import Event
from eventproc.payloads.members import Members, text


def transaction_of(event: Event) -> tuple[Members, str]:
    """The event's transaction and its id. Raises PayloadError when one of them is missing.

    A wallet cannot use a body without the id: nothing tells it which of its transactions is meant.
    """
    if event.transaction is None:
        raise PayloadError(f"event {event.id}: no transaction in it: correct the publisher")
    transaction_id = text(event.transaction.get("id"))
    if not transaction_id:
        raise PayloadError(f"event {event.id}: the transaction has no id: correct the publisher")
    return event.transaction, transaction_id
