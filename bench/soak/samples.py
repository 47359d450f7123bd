"""What each process holds at one moment, from ``/proc``."""

from __future__ import annotations

from pathlib import Path

from bench.soak.results import MB, ProcessSample
from bench.window import cpu_seconds


def read_process(pid: int) -> ProcessSample | None:
    """The process now; None when it has ended."""
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text("utf-8").splitlines() if ":" in line
        )
        return ProcessSample(
            pid=pid,
            rss_mb=round(int(status["VmRSS"].split()[0]) * 1024 / MB, 2),
            descriptors=sum(1 for _ in (folder / "fd").iterdir()),
            threads=int(status["Threads"]),
            cpu_seconds=cpu_seconds(pid),
        )
    except (OSError, KeyError):  # a zombie has no VmRSS
        return None
