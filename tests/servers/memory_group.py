"""A control group with a memory limit, where this machine lets us make one."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

MOUNTS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),  # version 1
    (Path("/sys/fs/cgroup"), "memory.max"),  # version 2
)


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path | None]:
    """Make a group whose processes the kernel kills above the limit; None where none can be made."""
    for mount, limit_file in MOUNTS:
        group = mount / f"eventproc-test-{uuid.uuid4().hex[:8]}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit_file).write_text(str(limit_bytes))
        except OSError:
            group.rmdir()
            continue
        try:
            yield group
        finally:
            with contextlib.suppress(OSError):  # a process that is still ending keeps it
                group.rmdir()
        return
    yield None


def enter(group: Path, pid: int) -> None:
    """Move a process into the group."""
    (group / "cgroup.procs").write_text(str(pid))


def kills_in(group: Path) -> int:
    """How many processes the kernel has killed there for memory."""
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            for line in (group / name).read_text().split(os.linesep):
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0
