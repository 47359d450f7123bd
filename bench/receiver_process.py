"""The receiver's process, and how sections control it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import aiohttp
from typing_extensions import Self

from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[1]
READY_SECONDS = 15.0
_POLL_SECONDS = 0.05


class LoadReceiver:
    """Answers every POST after ``latency_ms`` and counts."""

    def __init__(self) -> None:
        self._port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="bench-receiver-"))
        command = [sys.executable, "-m", "bench.receiver", "--port", str(self._port)]
        self._process = ChildProcess(command, log_file=self._directory / "receiver.log", cwd=CHECKOUT)
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    async def count(self) -> int:
        """How many requests were answered so far."""
        return int(await self._ask("/-/count"))

    async def set(self, *, latency_ms: float = 0.0, status: int = 200, record: bool = False) -> None:
        """How to answer from now on."""
        query = f"latency_ms={latency_ms}&status={status}&record={str(record).lower()}"
        await self._ask(f"/-/set?{query}")

    async def arrivals(self) -> dict[str, int]:
        """Event id to its first arrival in ns since the epoch, for what came since the last call."""
        lines = (await self._ask("/-/arrivals")).splitlines()
        found: dict[str, int] = {}
        for line in lines:
            event, _, at = line.rpartition(" ")
            found.setdefault(event, int(at))
        return found

    async def _ask(self, path: str) -> str:
        assert self._session is not None
        async with self._session.get(f"{self.url}{path}") as response:
            response.raise_for_status()
            return await response.text()

    async def __aenter__(self) -> Self:
        self._process.start()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0))
        try:
            await self._wait_ready()
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
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not await self._answers():
            if time.monotonic() > deadline or not self._process.is_running:
                raise RuntimeError(f"the receiver did not start\n{self._process.log_tail()}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self) -> bool:
        try:
            await self.count()
        except (aiohttp.ClientError, OSError):
            return False
        return True
