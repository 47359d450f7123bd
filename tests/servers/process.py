"""A child process that tests can end gracefully, kill, and ask for its log and its memory.

Each child leads its own process group: Ctrl-C on a terminal reaches the parent alone, which then stops its
children in order; and killing the group leaves no grandchild behind. What is still running when the
interpreter exits is killed then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.02
_started: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


class ChildProcess:
    """One command, started any number of times, its output appended to one log file."""

    def __init__(
        self, command: Sequence[str], *, log_file: Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log_file = log_file
        self.cwd = cwd
        self.env = None if env is None else dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the command; returns at once."""
        if self.is_running:
            raise RuntimeError(f"{self.command[0]} runs already as process {self.pid}; stop it first")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _started.add(self)

    @property
    def pid(self) -> int:
        """The id of the last started process."""
        if self._process is None:
            raise RuntimeError(f"{self.command[0]} has not been started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: ended by that signal), None while it runs or before the start."""
        return None if self._process is None else self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone; a process that has ended is left in peace."""
        if self.is_running:
            os.kill(self.pid, number)

    def wait(self, timeout_seconds: float) -> int:
        """The exit code, once the process has ended.

        Raises:
            TimeoutError: it still runs after ``timeout_seconds``; the message ends with the log's tail.
        """
        deadline = time.monotonic() + timeout_seconds
        while self.is_running:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"process {self.pid} ({self.command[0]}) still runs after {timeout_seconds} s\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)
        code = self.exit_code
        if code is None:
            raise RuntimeError(f"{self.command[0]} has not been started")
        return code

    def terminate(self, timeout_seconds: float) -> tuple[int, float]:
        """SIGTERM, then waits: the exit code and the seconds it took.

        Raises:
            TimeoutError: it did not end in time. It is killed then, so that nothing stays behind.
        """
        began = time.monotonic()
        self.send_signal(signal.SIGTERM)
        try:
            code = self.wait(timeout_seconds)
        except TimeoutError:
            self.kill()
            raise
        return code, time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to the whole process group, also when its leader has ended already; reaps the leader."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Ends it by whatever it takes: SIGTERM, and SIGKILL after ``timeout_seconds``."""
        with contextlib.suppress(TimeoutError):
            if self.is_running:
                self.terminate(timeout_seconds)
        self.kill()

    def log_text(self) -> str:
        """All that the process has written so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of the log, under a heading that names the file: for failure messages."""
        tail = self.log_text().splitlines()[-lines:]
        return "\n".join([f"--- end of {self.log_file} ---", *tail])

    def memory_bytes(self) -> int:
        """Resident memory of the process now (VmRSS of /proc)."""
        return self._status_bytes("VmRSS")

    def peak_memory_bytes(self) -> int:
        """The most resident memory that the process ever had (VmHWM of /proc)."""
        return self._status_bytes("VmHWM")

    def _status_bytes(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(f"process {self.pid} has no {field} in /proc: it has ended")


@atexit.register
def _kill_what_still_runs() -> None:
    for child in list(_started):
        child.kill()
