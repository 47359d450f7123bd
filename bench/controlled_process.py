"""A process of ours that serves what it is told and asked by HTTP, from its start to its end."""

from __future__ import annotations

import asyncio
from types import TracebackType

import aiohttp
from typing_extensions import Self

from tests.servers.process import ChildProcess
from tests.servers.waiting import wait_until


class ControlledProcess:
    """Started and ready inside ``async with``, stopped behind it.

    Args:
        process: not started yet.
        url: where it answers.
        probe: a path that it answers as soon as it is ready.
        ready_seconds: how long that may take.
        answer_seconds: how long any answer may take.
    """

    def __init__(
        self, process: ChildProcess, url: str, *, probe: str, ready_seconds: float, answer_seconds: float
    ) -> None:
        self.url = url
        self._process = process
        self._probe = probe
        self._ready_seconds = ready_seconds
        self._timeout = aiohttp.ClientTimeout(total=answer_seconds)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """To ask it with, once it is started."""
        assert self._session is not None
        return self._session

    async def __aenter__(self) -> Self:
        self._process.start()
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            await wait_until(self._answers, self._ready_seconds, self._process.log_tail)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        await asyncio.to_thread(self._process.stop)

    async def _answers(self) -> bool:
        if not self._process.is_running:
            raise RuntimeError(f"{self.url} did not start\n{self._process.log_tail()}")
        try:
            async with self.session.get(f"{self.url}{self._probe}") as response:
                response.raise_for_status()
        except (aiohttp.ClientError, OSError):
            return False
        return True
