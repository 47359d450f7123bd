"""How large a record may be: key, value, headers and framing together, against every limit at once.

Kafka compares a *batch* with the topic's ``max.message.bytes``, and aiokafka compares a record with
``max_request_size``. A record fits when a batch of it alone is below both. The size of the original decides
nothing: it may have been compressed, and a copy has a key and headers of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eventproc.records import Headers

FRAMING_BYTES: Final = 61 + 21
"""The header of a batch, and what a record takes beside key, value and headers (KIP-98), at most."""

LENGTH_BYTES: Final = 5
"""A length before a key, value, header's name or header's value, at most."""

HEADROOM_BYTES: Final = 64 * 1024
"""For key, headers and framing beside a value of ``topics.max_message_bytes``."""

LATER_BYTES: Final = 2048
"""For what a copy gets when it is dead-lettered or redriven, beside its key and its event's id."""


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Upper bound of what the record takes alone in a batch, not compressed."""
    size = FRAMING_BYTES + 3 * LENGTH_BYTES + len(key or b"") + len(value or b"")
    for name, content in headers:
        size += 2 * LENGTH_BYTES + len(name.encode()) + len(content or b"")
    return size


def room_needed(key: bytes, value: bytes | None, headers: Headers, event_id: str) -> int:
    """Upper bound of a destination's copy, and of the dead letter that it may become.

    Without this room, an event could be delivered and not be given up: its dead letter would be refused.
    """
    return (
        record_bytes(key, value, headers) + LATER_BYTES + len(key) + len(event_id.encode("utf-8", "replace"))
    )


class RecordLimits:
    """The largest record that each topic accepts.

    ``request_bytes`` is the producer's ``max_request_size``, and the limit of a topic that is not known. The
    others are read from Kafka at start-up.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.value_bytes = max_message_bytes
        self.request_bytes = max_message_bytes + HEADROOM_BYTES
        self._topics: dict[str, int] = {}

    def learn(self, max_message_bytes: Mapping[str, int]) -> None:
        """Add topics with their ``max.message.bytes``."""
        self._topics.update(max_message_bytes)

    def of(self, topic: str) -> int:
        """The most bytes of one record for this topic, by ``record_bytes``."""
        return min(self.request_bytes, self._topics.get(topic, self.request_bytes))

    @property
    def smallest(self) -> int:
        """The limit for a batch of several records, as it may be of any topic."""
        return min(self.request_bytes, *self._topics.values()) if self._topics else self.request_bytes
