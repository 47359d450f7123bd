"""Waiting for a condition, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

POLL_SECONDS: Final = 0.1


async def wait_until(
    condition: Callable[[], Awaitable[bool]], timeout_seconds: float, what: str | Callable[[], object]
) -> None:
    """Waits for a condition; ``what`` stands in the TimeoutError when it does not come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while not await condition():
        if loop.time() > deadline:
            state = what if isinstance(what, str) else what()
            raise TimeoutError(f"not within {timeout_seconds} s: {state}")
        await asyncio.sleep(POLL_SECONDS)


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Pauses for so long, or until the event is set: whether it is."""
    try:
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    except asyncio.TimeoutError:
        return False
    return True
