"""How long a fetch waits at the broker for more, by how much a fetch costs.

Even in a session (``fetch_sessions.py``) a fetch goes through all partitions here: some 1 ms of CPU for
1,000, however few records come. Up to ``CHEAP_PARTITIONS`` a fetch returns with the first record. Beyond, it
waits until there is enough for its price, and at most so long that idle fetches take about a fortieth of a
core; a busy or slow one may take twice that.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CHEAP_PARTITIONS: Final = 500
WAIT_MS_PER_PARTITION: Final = 0.04
MIN_BYTES_PER_PARTITION: Final = 1024
MAX_WAIT_MS: Final = 1500


class FetchPace(NamedTuple):
    """The two numbers of a fetch request: answer with this many bytes, or after this many milliseconds."""

    max_wait_ms: int
    min_bytes: int


def fetch_pace(partitions: int, least_wait_ms: int) -> FetchPace:
    """The pace for so many assigned partitions; ``least_wait_ms`` is the setting."""
    if partitions <= CHEAP_PARTITIONS:
        return FetchPace(least_wait_ms, 1)
    wait_ms = max(least_wait_ms, round(partitions * WAIT_MS_PER_PARTITION))
    return FetchPace(min(wait_ms, MAX_WAIT_MS), partitions * MIN_BYTES_PER_PARTITION)
