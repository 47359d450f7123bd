"""What is done when partitions go to another worker is committed, or that worker delivers it again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from eventproc.delivery.faust_internals import Consumer


def _consumer(commits: list[str]) -> Any:
    async def force_commit(*_: Any, **__: Any) -> bool:
        commits.append("ours")
        return True

    consumer: Any = Consumer.__new__(Consumer)
    consumer.app = SimpleNamespace(client_only=False)
    consumer.force_commit = force_commit
    consumer._loop = asyncio.get_running_loop()
    consumer._commit_fut = None
    return consumer


async def test_a_handover_commits_what_a_commit_under_way_has_missed() -> None:
    commits: list[str] = []
    consumer = _consumer(commits)
    consumer._commit_fut = under_way = asyncio.get_running_loop().create_future()
    handover = asyncio.ensure_future(consumer.commit_now())
    await asyncio.sleep(0)
    assert commits == []
    consumer._commit_fut = None
    under_way.set_result(None)
    await asyncio.wait_for(handover, 1.0)
    assert commits == ["ours"]


async def test_fausts_own_commit_still_does_nothing_while_another_is_under_way() -> None:
    """When this fails, ``commit_now`` is no longer needed."""
    commits: list[str] = []
    consumer = _consumer(commits)
    consumer._commit_fut = under_way = asyncio.get_running_loop().create_future()
    handover = asyncio.ensure_future(consumer.commit())
    await asyncio.sleep(0)
    consumer._commit_fut = None
    under_way.set_result(None)
    await asyncio.wait_for(handover, 1.0)
    assert commits == []
