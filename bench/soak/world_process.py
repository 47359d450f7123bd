"""The outside world's process, and how the run controls it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp
from typing_extensions import Self

from bench.soak.receivers import Fault
from bench.soak.world import STATE, WorldState
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess
from tests.servers.waiting import wait_until

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_READY_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 90.0
"""A receiver that shall refuse first ends what hangs there."""


class WorldProcess:
    """Anchor and receivers; see ``world``.

    Args:
        bootstrap: ``host:port`` of the broker.
        topic: the source topic; it must exist.
        clients: how many wallets.
        nice: the process gives way to others by so much.
        log_file: what it says goes there.
    """

    def __init__(self, bootstrap: str, topic: str, *, clients: int, nice: int, log_file: Path) -> None:
        port = free_port()
        self._url = f"http://{LOOPBACK}:{port}"
        command = [sys.executable, "-m", "bench.soak.world", "--bootstrap", bootstrap, "--topic", topic]
        command += ["--clients", str(clients), "--port", str(port), "--nice", str(nice)]
        self._process = ChildProcess(command, log_file=log_file, cwd=_CHECKOUT)
        self._session: aiohttp.ClientSession | None = None

    async def where(self) -> dict[str, str]:
        """Name of each receiver to its base URL."""
        found: dict[str, str] = await self._json("/where")
        return found

    async def state(self) -> WorldState:
        """What it has seen so far."""
        return STATE.validate_python(await self._json("/state"))

    async def set_rate(self, per_second: float) -> None:
        """Events a second from now on."""
        await self._tell("/rate", per_second=per_second)

    async def burst(self, events: int) -> None:
        """So many events, as fast as it goes."""
        await self._tell("/burst", events=events)

    async def fault(self, receiver: str, fault: Fault) -> None:
        """A receiver misbehaves from now on."""
        await self._tell("/fault", receiver=receiver, fault=fault.value)

    async def mend(self, receiver: str) -> None:
        """A receiver behaves again."""
        await self._tell("/mend", receiver=receiver)

    async def __aenter__(self) -> Self:
        self._process.start()
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            await wait_until(self._answers, _READY_SECONDS, self._process.log_tail)
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
            raise RuntimeError(f"the outside world did not start\n{self._process.log_tail()}")
        try:
            await self.where()
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def _json(self, path: str) -> Any:
        assert self._session is not None
        async with self._session.get(self._url + path) as response:
            response.raise_for_status()
            return await response.json()

    async def _tell(self, path: str, **what: object) -> None:
        assert self._session is not None
        async with self._session.post(self._url + path, json=what) as response:
            response.raise_for_status()
