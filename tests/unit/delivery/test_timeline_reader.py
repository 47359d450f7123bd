"""A reader of the attempts topic whose partition has lost its leader."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from eventproc.delivery.timeline_reader import _Found, _read

PARTITION = TopicPartition("eventproc.attempts", 0)


class LeaderlessConsumer:
    """Knows that there are records, and gives none."""

    _fetcher = None

    async def end_offsets(self, _partitions: Any) -> Any:
        return {PARTITION: 5}

    async def offsets_for_times(self, _times: Any) -> Any:
        return {PARTITION: SimpleNamespace(offset=0, timestamp=1)}

    def seek(self, _partition: Any, offset: int) -> None:
        self.at = offset

    async def position(self, _partition: Any) -> int:
        return self.at

    async def getmany(self, *_partitions: Any, **_options: Any) -> Any:
        await asyncio.sleep(0.01)
        return {}


async def test_it_does_not_wait_for_ever_for_records_that_nobody_gives() -> None:
    found = _Found("t1", since=0.0)
    await asyncio.wait_for(_read(LeaderlessConsumer(), PARTITION, found, within_seconds=0.1), 20)
    assert found.reading().problems == ("not everything was read, only 0.1 s were given; none of it is sure",)
