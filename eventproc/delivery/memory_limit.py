"""The memory that this process may use, and how much of it ``delivery.max_waiting_bytes`` is by default.

A worker that passes its limit is killed without a log line, so the bound is derived from what the kernel
enforces: the lowest limit among this process's control groups and their parents (version 1 and 2), else the
memory of the machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

MIB: Final = 1024 * 1024

IDLE_BYTES: Final = 128 * MIB
"""A worker that holds no events: 110 MiB with 50 destinations of 8 partitions (measured)."""

SHARE: Final = 0.4
"""Of what is left. The rest is for what is in no count: decoded JSON, sockets, the allocator's free pages."""

LEAST_BYTES: Final = 16 * MIB
MOST_BYTES: Final = 1024 * MIB
"""Without a container several workers may share the machine, and more makes nothing faster."""

_LIMIT_FILES: Final = ("memory.max", "memory.high", "memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """``bytes`` that this process may use, and the file that has the number; ``is_enforced``: by a kill."""

    bytes: int
    found_in: str
    is_enforced: bool


def find_memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """Return the lowest limit of this process; None where the system does not report one (not Linux)."""
    machine = _machine_bytes(root / "proc/meminfo")
    found = list(_control_group_limits(root))
    if machine is not None:  # "no limit" is a huge number in version 1
        found = [limit for limit in found if limit.bytes < machine]
        found.append(MemoryLimit(machine, "/proc/meminfo", is_enforced=False))
    return min(found, key=lambda limit: limit.bytes, default=None)


def default_waiting_bytes(limit: MemoryLimit | None) -> int:
    """Return ``delivery.max_waiting_bytes`` for a process with this limit."""
    if limit is None:
        return MOST_BYTES // 4
    return int(min(MOST_BYTES, max(LEAST_BYTES, (limit.bytes - IDLE_BYTES) * SHARE)))


def _machine_bytes(meminfo: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text("utf-8").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return None


def _control_group_limits(root: Path) -> Iterator[MemoryLimit]:
    """Yield every limit that can be read; a parent's limit counts for its children."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            folders = (mounts, mounts / "unified")
        elif "memory" in controllers.split(","):
            folders = (mounts / "memory", mounts / controllers)
        else:
            continue
        group = PurePosixPath(path.strip("/"))
        # In a container the path is often the host's, and only the mount's root exists here.
        for inside in (group, *group.parents):
            for folder in folders:
                yield from _limits_in(root, folder / inside)


def _limits_in(root: Path, folder: Path) -> Iterator[MemoryLimit]:
    for name in _LIMIT_FILES:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            found = int((folder / name).read_text("utf-8"))
            yield MemoryLimit(found, f"/{(folder / name).relative_to(root)}", is_enforced=True)
