"""Step 11 – dead letter: the event as received, with what happened to it in headers.

One topic for all destinations; key = destination and the place of the event's record. Beside the dead letters
the topic holds short notes, with the same key, an empty value and the header ``note``: ``redriven`` when an
operator sent the event again. A reader that begins at the topic's start therefore knows which dead letters
still wait.

A dead letter is identified by ``LetterId``: its destination and the place of the event's record in the
anchor's topic. The event id does not identify it, because the anchor can publish two records with one id, and
each of them is owed to the receiver. Earlier versions had destination and event id as key; ``LetterId`` is
read from headers that their records have, too.

A note names the dead letter it is about by its offset: a redriven event can fail again before its note is
written, and that second dead letter must not be taken for the first. It also names where the event was put,
for ``on_dead_letter: hold_transaction``: what stands before that place must not overtake it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from eventproc.identifiers import DestinationId, LaneKey
from eventproc.outcomes import Failed, Rejected, Unbuildable
from eventproc.records import Headers, header_values, read_origin

DESTINATION: Final = "dead-letter-destination"
LANE: Final = "dead-letter-lane"
REASON: Final = "dead-letter-reason"
ATTEMPTS: Final = "dead-letter-attempts"
LAST_STATUS: Final = "dead-letter-last-status"
EXCERPT: Final = "dead-letter-response"
AT: Final = "dead-letter-at"
RECORD: Final = "dead-letter-record"
NOTE: Final = "note"
NOTE_REDRIVEN: Final = b"redriven"
NOTE_UNTIL: Final = "dead-letter-offset"
NOTE_LETTER_PARTITION: Final = "dead-letter-partition"
NOTE_PARTITION: Final = "redriven-partition"
NOTE_OFFSET: Final = "redriven-offset"
EXCERPT_BYTES: Final = 512
REASON_BYTES: Final = 512


class LetterId(NamedTuple):
    """Which record at which destination; equal for the copies that a crash or a second failure makes.

    The place is that in the anchor's topic. A record that another program wrote into a destination's topic
    has none; its place is the one in that topic. ``timestamp_ms`` distinguishes a topic from one of the same
    name that was made after it was deleted, where offsets begin at 0 again; 0 where it is not known.
    """

    destination: DestinationId
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def place(self) -> str:
        """The record's place, like ``TRANSACTION/0/17``."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def text(self) -> str:
        """All of it in one string, for forms and digests."""
        return f"{self.destination}|{self.place}/{self.timestamp_ms}"

    @property
    def key(self) -> bytes:
        """The key of the dead letter's record."""
        return f"{self.destination}|{self.place}".encode("utf-8", "replace")


class DeadLetterReason(enum.Enum):
    """Why an event was given up for one destination; the value is the header's text and a metric label."""

    REJECTED = "rejected"
    FAILED_WHILE_OTHERS_PASS = "failed-while-others-pass"  # noqa: S105 - events pass, no password
    CANNOT_BUILD = "cannot-build"
    HELD = "held-behind-dead-letter"
    TOPIC_REFUSED = "topic-refused"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One given-up event; ``attempts`` counts the requests made in this worker's life of the event."""

    destination: DestinationId
    lane: LaneKey
    reason: DeadLetterReason
    attempts: int
    detail: str
    status: int | None
    excerpt: bytes


def letter_id(
    destination: DestinationId, headers: Iterable[tuple[str, bytes | None]], at: tuple[str, int, int]
) -> LetterId:
    """Identify a dead letter by its headers; ``at`` is a place that stands in when they name none."""
    found = header_values(headers)
    source = read_origin(found.items()).source
    if source is not None:
        return LetterId(destination, *source)
    return LetterId(destination, *(_read_place(found.get(RECORD)) or at), 0)


def record_place(place: tuple[str, int, int]) -> tuple[str, bytes]:
    """The header that names the place of a record whose headers name no source."""
    return RECORD, "/".join(map(str, place)).encode()


def from_outcome(
    destination: DestinationId, lane: LaneKey, attempts: int, outcome: Rejected | Failed | Unbuildable
) -> DeadLetter:
    """The dead letter for an event whose last attempt ended so."""
    if isinstance(outcome, Unbuildable):
        return DeadLetter(
            destination, lane, DeadLetterReason.CANNOT_BUILD, attempts, outcome.detail, None, b""
        )
    if isinstance(outcome, Rejected):
        detail = f"HTTP {outcome.status}"
        return DeadLetter(
            destination, lane, DeadLetterReason.REJECTED, attempts, detail, outcome.status, outcome.excerpt
        )
    reason = DeadLetterReason.FAILED_WHILE_OTHERS_PASS
    return DeadLetter(destination, lane, reason, attempts, outcome.detail, outcome.status, outcome.excerpt)


def dead_letter_headers(letter: DeadLetter, original: Headers, at: str) -> Headers:
    """The original headers, then ours; ``at`` is ISO-8601 UTC."""
    headers: Headers = [
        *original,
        (DESTINATION, letter.destination.encode()),
        (LANE, letter.lane.encode("utf-8", "replace")),
        (REASON, f"{letter.reason.value}: {letter.detail}".encode("utf-8", "replace")[:REASON_BYTES]),
        (ATTEMPTS, b"%d" % letter.attempts),
        (AT, at.encode()),
    ]
    if letter.status is not None:
        headers.append((LAST_STATUS, b"%d" % letter.status))
    if letter.excerpt:
        headers.append((EXCERPT, letter.excerpt[:EXCERPT_BYTES]))
    return headers


def redriven_note(
    destination: DestinationId, lane: LaneKey, at: str, until: tuple[int, int], place: tuple[int, int]
) -> Headers:
    """The headers of the note that a dead letter was sent again.

    ``until`` is the partition and the offset of its newest copy in the dead-letter topic; ``place`` is the
    partition and the offset that the event now has in its destination's topic.
    """
    return [
        (NOTE, NOTE_REDRIVEN),
        (DESTINATION, destination.encode()),
        (LANE, lane.encode("utf-8", "replace")),
        (AT, at.encode()),
        (NOTE_LETTER_PARTITION, b"%d" % until[0]),
        (NOTE_UNTIL, b"%d" % until[1]),
        (NOTE_PARTITION, b"%d" % place[0]),
        (NOTE_OFFSET, b"%d" % place[1]),
    ]


def read_integer(value: bytes | None) -> int | None:
    """A number in a header; None when there is none."""
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


def _read_place(value: bytes | None) -> tuple[str, int, int] | None:
    topic, _, numbers = (value or b"").decode("utf-8", "replace").partition("/")
    partition, _, offset = numbers.partition("/")
    try:
        return (topic, int(partition), int(offset)) if topic else None
    except ValueError:
        return None
