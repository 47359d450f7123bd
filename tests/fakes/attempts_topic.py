"""The attempts topic in memory, which can be told to fail or to hang."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from eventproc.journal_entries import Entry, decode
from eventproc.records import Headers


@dataclass
class FakeAttemptsTopic:
    """Stands for the producer, too."""

    partitions: int = 4
    records: list[tuple[int, bytes, Headers]] = field(default_factory=list)
    refuses: Exception | None = None
    does_not_acknowledge: bool = False
    hangs: bool = False
    is_unknown: bool = False
    asked: int = 0

    async def partitions_of(self, topic: str) -> int:
        assert topic == "eventproc.attempts"
        self.asked += 1
        if self.is_unknown:
            raise LookupError(topic)
        return self.partitions

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        assert topic == "eventproc.attempts"
        assert partition is not None
        assert value is not None
        if self.hangs:
            await asyncio.Event().wait()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.refuses is not None:
            future.set_exception(self.refuses)
        elif not self.does_not_acknowledge:
            self.records.append((partition, value, headers))
            future.set_result(None)
        return future

    def entries(self, lane: str) -> list[Entry]:
        return [entry for _, value, _ in self.records for entry in decode(value, lane)]
