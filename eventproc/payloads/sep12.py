"""SEP-12's callback body: the customer as ``GET /customer`` of SEP-12 has it, without an envelope."""

from __future__ import annotations

from typing import Any

from eventproc.errors import PayloadError
from eventproc.events import Event
from eventproc.payloads.context import PayloadContext
from eventproc.payloads.json_bytes import encode, present
from eventproc.payloads.members import Members, scalar, text


def sep12_body(event: Event, context: PayloadContext, now: float) -> bytes:  # noqa: ARG001 - one shape for all builders
    """The body for one event. Raises PayloadError when there is no customer, or none with an id."""
    customer = event.customer or {}
    customer_id = text(customer.get("id"))
    if not customer_id:
        raise PayloadError(
            f"event {event.id}: no customer id, a SEP-12 body needs one: correct the publisher"
        )
    return encode(
        present(
            id=customer_id,
            status=text(customer.get("status")),
            fields=_fields(customer.get("fields")),
            provided_fields=_fields(customer.get("provided_fields")),
            message=text(customer.get("message")),
        )
    )


def _fields(value: Any) -> Members | None:
    """``{<SEP-9 name>: {type, description, choices, optional, status, error}}``."""
    if not isinstance(value, dict):
        return None
    return {name: _field(field) for name, field in value.items() if isinstance(field, dict)}


def _field(field: Members) -> Members:
    choices = field.get("choices")
    return present(
        type=text(field.get("type")),
        description=text(field.get("description")),
        choices=[choice for choice in map(text, choices) if choice is not None]
        if isinstance(choices, list)
        else None,
        optional=scalar(field.get("optional")),
        status=text(field.get("status")),
        error=text(field.get("error")),
    )
