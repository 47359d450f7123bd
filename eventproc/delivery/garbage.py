"""Python's search for reference cycles, set for a process that makes hardly any.

What an event leaves is freed by counting references. By default the search runs every 700 new objects, and
now and then walks everything: a fifth to a quarter of a delivery's CPU (measured; docs/performance.md).
What lives as long as the worker, which is most of it with a thousand destinations, need not be walked at
all.
"""

from __future__ import annotations

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""New objects between two searches: a few megabytes that wait for the next one."""


def settle() -> None:
    """What is here now stays for good, and the search is for what comes; from the second call on nothing."""
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
