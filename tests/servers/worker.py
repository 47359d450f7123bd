"""The real worker in a process of its own, as an operator starts it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import aiohttp
from typing_extensions import Self

from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

CHECKOUT = Path(__file__).resolve().parents[2]
_POLL_SECONDS = 0.1

IsReady: TypeAlias = Callable[["WorkerProcess"], Awaitable[bool]]


async def answers_ready(worker: WorkerProcess) -> bool:
    """Whether ``/health/ready`` of the worker's web port answers 200."""
    timeout = aiohttp.ClientTimeout(total=2.0)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{worker.url}/health/ready") as page,
        ):
            return page.status == 200
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError):
        return False


class WorkerProcess:
    """``python -m faust -A eventproc.app worker`` with exactly the environment given.

    It runs in a directory of its own, so that no ``.env`` of the checkout is read, and inherits nothing but
    ``PATH`` and ``HOME``.

    Args:
        env: the settings as environment variables; see ``anchor_env``.
        app: module of the Faust app.
        python_path: folders for imports before the checkout.
        options: further arguments of ``faust worker``.
        web_port: of the pages; picked when None.
        directory: for its log and data, kept afterwards; None: a temporary one.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        app: str = "eventproc.app",
        python_path: Sequence[Path] = (),
        options: Sequence[str] = (),
        web_port: int | None = None,
        directory: Path | None = None,
    ) -> None:
        self.web_port = web_port or free_port()
        self.directory = directory or Path(tempfile.mkdtemp(prefix="worker-"))
        self._keeps_directory = directory is not None
        command = [sys.executable, "-m", "faust", "-A", app, "--datadir", str(self.directory / "data")]
        command += ["worker", "-l", "info", "--web-port", str(self.web_port), *options]
        paths = os.pathsep.join(map(str, [*python_path, CHECKOUT]))
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = ChildProcess(
            command,
            log_file=self.directory / "worker.log",
            cwd=self.directory,
            env={**base, "PYTHONUNBUFFERED": "1", "PYTHONPATH": paths, **env},
        )

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://{LOOPBACK}:{self.web_port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    @property
    def log_file(self) -> Path:
        """Where it logs to."""
        return self.process.log_file

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process.is_running

    @property
    def memory_bytes(self) -> int:
        """Its resident memory now."""
        return self.process.memory_bytes()

    @property
    def peak_memory_bytes(self) -> int:
        """The most resident memory it had."""
        return self.process.peak_memory_bytes()

    def start(self) -> None:
        """Starts it; again after it ended: same data directory, same web port."""
        self.process.start()

    async def wait_ready(self, timeout_seconds: float = 90.0, is_ready: IsReady = answers_ready) -> float:
        """Waits until it is ready: the seconds that took.

        Raises:
            RuntimeError: it ended instead; the message has the log's tail.
            TimeoutError: it is not ready in time; likewise.
        """
        began = time.monotonic()
        while not await is_ready(self):
            if not self.is_running:
                raise RuntimeError(f"worker ended with {self.process.exit_code}\n{self.process.log_tail()}")
            if time.monotonic() - began > timeout_seconds:
                raise TimeoutError(f"worker not ready after {timeout_seconds} s\n{self.process.log_tail()}")
            await asyncio.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    async def terminate(self, timeout_seconds: float = 30.0) -> tuple[int, float]:
        """SIGTERM, then waits: the exit code and the seconds it took; killed and TimeoutError after the bound."""
        return await asyncio.to_thread(self.process.terminate, timeout_seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and does nothing, like a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    async def wait(self, timeout_seconds: float) -> int:
        """The exit code, once it has ended by itself."""
        return await asyncio.to_thread(self.process.wait, timeout_seconds)

    async def close(self) -> None:
        """Ends it by whatever it takes and removes its directory unless it was given one."""
        await asyncio.to_thread(self.process.stop)
        if not self._keeps_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def log_text(self) -> str:
        """All that it has logged."""
        return self.process.log_text()

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of its log."""
        return self.process.log_tail(lines)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
