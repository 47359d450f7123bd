"""Step 11 – dead letter: the event as received, with what happened to it in headers.

One topic for all destinations; key = destination and event id. Beside the dead letters the topic holds short
notes, with the same key, an empty value and the header ``note``: ``redriven`` when an operator sent the event
again. Who reads the topic from its start therefore knows which dead letters still wait.

A note names the dead letter it is about by its offset: a redriven event can fail again before its note is
written, and that second dead letter must not be taken for the first. It also names where the event was put,
for ``on_dead_letter: hold_transaction``: what stands before that place must not overtake it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from eventproc.identifiers import DestinationId, LaneKey
from eventproc.outcomes import Failed, Rejected, Unbuildable
from eventproc.records import Headers

DESTINATION: Final = "dead-letter-destination"
LANE: Final = "dead-letter-lane"
REASON: Final = "dead-letter-reason"
ATTEMPTS: Final = "dead-letter-attempts"
LAST_STATUS: Final = "dead-letter-last-status"
EXCERPT: Final = "dead-letter-response"
AT: Final = "dead-letter-at"
NOTE: Final = "note"
NOTE_REDRIVEN: Final = b"redriven"
NOTE_UNTIL: Final = "dead-letter-offset"
NOTE_PARTITION: Final = "redriven-partition"
NOTE_OFFSET: Final = "redriven-offset"
EXCERPT_BYTES: Final = 512
REASON_BYTES: Final = 512


class DeadLetterReason(enum.Enum):
    """Why an event was given up for one destination; the value is the header's text and a metric label."""

    REJECTED = "rejected"
    FAILED_WHILE_OTHERS_PASS = "failed-while-others-pass"  # noqa: S105 - events pass, no password
    CANNOT_BUILD = "cannot-build"
    HELD = "held-behind-dead-letter"


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
    destination: DestinationId, lane: LaneKey, at: str, until: int, place: tuple[int, int]
) -> Headers:
    """The headers of the note that a dead letter was sent again.

    ``until`` is the offset of its newest copy in the dead-letter topic; ``place`` is the partition and the
    offset that the event now has in its destination's topic.
    """
    return [
        (NOTE, NOTE_REDRIVEN),
        (DESTINATION, destination.encode()),
        (LANE, lane.encode("utf-8", "replace")),
        (AT, at.encode()),
        (NOTE_UNTIL, b"%d" % until),
        (NOTE_PARTITION, b"%d" % place[0]),
        (NOTE_OFFSET, b"%d" % place[1]),
    ]
