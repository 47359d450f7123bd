"""A gate that is open while no more than so many bytes are behind it."""

from __future__ import annotations

import asyncio


class ByteGate:
    """What enters may pass the bound, by one entry; the next one waits until it is met again."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._is_open = asyncio.Event()
        self._is_open.set()

    async def wait(self) -> None:
        """Wait until the gate is open."""
        await self._is_open.wait()

    def add(self, count: int) -> None:
        """Count bytes that enter; a negative number for those that leave."""
        self._bytes += count
        if self._bytes <= self._max_bytes:
            self._is_open.set()
        else:
            self._is_open.clear()
