"""How many connections a receiver serves at once, where it accepts more than it serves.

Single-threaded servers that keep connections alive (Python's ``http.server``, PHP set-ups with few children)
accept our connections and serve one at a time, until it is closed. The others are *unserved*: a request is
written on them, or they are being opened, and nothing comes, while later requests are answered elsewhere.

::

    unbounded ── unserved ──> bounded by the connections that are served
        ^                        │  ^  │
        └── most is reached ─────┘  │  └─ ``step`` answers: one connection more
                                    └──── unserved: bounded again, and ``step`` doubles

A connection is unserved when it has waited for its first answer for ``UNSERVED_SECONDS``, and for
``UNSERVED_RATIO`` times as long as a request that began later and was answered. Beside more than
``FEW_SERVED``, only as many unserved ones are a crowd: one may be an event that this receiver never answers,
which must not cost the others their concurrency. A receiver that is slow for all is no reason either. Where a
bound is
known, an idle connection makes room for any that has waited so long (``pool``). A mistake costs concurrency
for a while, and nothing else: a receiver that is not bounded gets it back.

Dropped: a bound by the share of time-outs. It needs ``request_timeout_seconds`` to see anything, and each
time-out may be a duplicate: the server reads the request once it gets to that connection.
"""

from __future__ import annotations

from typing import Final, NamedTuple

UNSERVED_SECONDS: Final = 1.0
UNSERVED_RATIO: Final = 10.0
FEW_SERVED: Final = 8
FIRST_STEP: Final = 100
LAST_STEP: Final = 10_000


class Answered(NamedTuple):
    """A request that was answered: when it began and how long it took."""

    began_at: float
    seconds: float


def is_unserved(waits_since: float, now: float, last: Answered | None) -> bool:
    """Decide whether a connection that waits for its first answer is not served.

    Args:
        waits_since: when dialling it began.
        now: on the same clock.
        last: of the requests that were answered on other connections, the last one to begin.
    """
    waited = now - waits_since
    return (
        last is not None
        and last.began_at >= waits_since
        and waited >= UNSERVED_SECONDS
        and waited >= UNSERVED_RATIO * last.seconds
    )


def is_crowd(unserved: int, served: int) -> bool:
    """Decide whether so many unserved connections beside so many served ones are the receiver's bound."""
    return unserved > 0 and (served <= FEW_SERVED or unserved >= served)


class Crowding:
    """The bound of one receiver; ``most`` is what is never needed more of."""

    def __init__(self, most: int) -> None:
        self.limit: int | None = None
        """How many requests at once it serves; None: no bound is known."""
        self._most = most
        self._step = FIRST_STEP
        self._answers = 0

    def unserved(self, served: int) -> None:
        """Connections are unserved while ``served`` others are answered."""
        bounded = max(1, served)
        if self.limit is None or self.limit > bounded:
            if self.limit is not None:
                self._step = min(self._step * 2, LAST_STEP)
            self.limit = bounded
        self._answers = 0

    def answered(self) -> None:
        """A request was answered."""
        if self.limit is None:
            return
        self._answers += 1
        if self._answers >= self._step:
            self._answers = 0
            self.limit += 1
            if self.limit >= self._most:
                self.limit = None
                self._step = FIRST_STEP
