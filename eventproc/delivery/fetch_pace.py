"""How often is fetched, by how much a fetch costs.

Even in a session (``fetch_sessions.py``) a fetch goes through all partitions, here and at the broker: some
1 ms of CPU for 1,000 here, however few records come. A fetch ends with the first record. Up to
``CHEAP_PARTITIONS`` the next one follows at once; beyond, fetches are so far apart that they take about a
fortieth of a core, twice that on a slow machine. To wait at the broker for more bytes instead would have it
go through all of them with each record that is written, and a lone record wait for nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CHEAP_PARTITIONS: Final = 500
APART_MS_PER_PARTITION: Final = 0.04
WAIT_MS_PER_PARTITION: Final = 0.1
MOST_MS: Final = 1500


class FetchPace(NamedTuple):
    """In milliseconds: from one fetch to the next at least, and how long one waits for the first record.

    ``short_wait`` is for a fetch that leaves partitions out, as what they brought before is not taken yet:
    what comes for these meanwhile has to wait for its end.
    """

    apart: int
    wait: int
    short_wait: int


def fetch_pace(partitions: int, least_wait_ms: int) -> FetchPace:
    """The pace for so many assigned partitions; ``least_wait_ms`` is the setting."""
    if partitions <= CHEAP_PARTITIONS:
        return FetchPace(0, least_wait_ms, least_wait_ms)
    apart = min(MOST_MS, round(partitions * APART_MS_PER_PARTITION))
    wait = min(MOST_MS, round(partitions * WAIT_MS_PER_PARTITION))
    return FetchPace(apart, max(least_wait_ms, wait), max(least_wait_ms, apart))
