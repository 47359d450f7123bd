"""The receiver's process, and how sections control it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from bench.controlled_process import ControlledProcess
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[1]
READY_SECONDS = 15.0
ANSWER_SECONDS = 10.0


class LoadReceiver(ControlledProcess):
    """Answers every POST after ``latency_ms`` and counts."""

    def __init__(self) -> None:
        port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="bench-receiver-"))
        command = [sys.executable, "-m", "bench.receiver", "--port", str(port)]
        super().__init__(
            ChildProcess(command, log_file=self._directory / "receiver.log", cwd=CHECKOUT),
            f"http://{LOOPBACK}:{port}",
            probe="/-/count",
            ready_seconds=READY_SECONDS,
            answer_seconds=ANSWER_SECONDS,
        )

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
        async with self.session.get(f"{self.url}{path}") as response:
            response.raise_for_status()
            return await response.text()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        shutil.rmtree(self._directory, ignore_errors=True)
