"""Names for the strings and numbers that must not be mixed up."""

from __future__ import annotations

from typing import NewType

EventId = NewType("EventId", str)
"""The event's own id, a UUID in practice; the key of the record in ``TRANSACTION``."""

LaneKey = NewType("LaneKey", str)
"""What keeps events in order: the id of the transaction, quote or customer, else the event's id."""

DestinationId = NewType("DestinationId", str)
"""``callback-api`` or ``client.<name>.sep<n>``."""

Offset = NewType("Offset", int)
"""A position in one Kafka partition."""
