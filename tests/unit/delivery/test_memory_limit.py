"""The memory limit of this process, from files as the kernel has them, and what is derived from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventproc.delivery.memory_limit import (
    LEAST_BYTES,
    MIB,
    MOST_BYTES,
    MemoryLimit,
    default_waiting_bytes,
    find_memory_limit,
)
from eventproc.delivery.worker_memory import WorkerMemory, memory_problems
from settings import Settings, load_settings

MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1000 kB\n"
MACHINE = 16384000 * 1024
NO_LIMIT = "9223372036854771712"

SYSTEMS: list[tuple[str, dict[str, str], int, str]] = [
    (
        "version 2, a container's own namespace",
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"},
        1073741824,
        "/sys/fs/cgroup/memory.max",
    ),
    (
        "version 2, a unit whose slice has the lower limit",
        {
            "proc/self/cgroup": "0::/a.slice/w.service\n",
            "sys/fs/cgroup/a.slice/memory.max": "300000000\n",
            "sys/fs/cgroup/a.slice/w.service/memory.max": "max\n",
        },
        300000000,
        "/sys/fs/cgroup/a.slice/memory.max",
    ),
    (
        "version 2, throttled below the limit",
        {
            "proc/self/cgroup": "0::/w\n",
            "sys/fs/cgroup/w/memory.max": "400000000\n",
            "sys/fs/cgroup/w/memory.high": "300000000\n",
        },
        300000000,
        "/sys/fs/cgroup/w/memory.high",
    ),
    (
        "version 1",
        {
            "proc/self/cgroup": "9:name=systemd:/x\n4:memory:/docker/1e7d\n1:cpu:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT,
            "sys/fs/cgroup/memory/docker/1e7d/memory.limit_in_bytes": "268435456\n",
        },
        268435456,
        "/sys/fs/cgroup/memory/docker/1e7d/memory.limit_in_bytes",
    ),
    (
        "version 1, a container that sees the host's path and its own mount",
        {
            "proc/self/cgroup": "4:cpu,memory:/kubepods/pod7/c1\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
        },
        268435456,
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ),
    ("both versions", {"proc/self/cgroup": "4:memory:/\n0::/\n"}, MACHINE, "/proc/meminfo"),
    (
        "no limit",
        {"proc/self/cgroup": "0::/w\n", "sys/fs/cgroup/w/memory.max": "max\n"},
        MACHINE,
        "/proc/meminfo",
    ),
    (
        "nonsense",
        {"proc/self/cgroup": "\n4\n:::\n0::/w\n", "sys/fs/cgroup/w/memory.max": ""},
        MACHINE,
        "/proc/meminfo",
    ),
]


@pytest.mark.parametrize(
    ("files", "found", "where"), [one[1:] for one in SYSTEMS], ids=[s[0] for s in SYSTEMS]
)
def test_the_lowest_limit_of_the_process_and_its_parents_counts(
    tmp_path: Path, files: dict[str, str], found: int, where: str
) -> None:
    for name, text in ({"proc/meminfo": MEMINFO} | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    limit = find_memory_limit(tmp_path)
    assert limit == MemoryLimit(found, where, is_enforced=found != MACHINE)


def test_a_system_without_such_files_has_no_known_limit(tmp_path: Path) -> None:
    assert find_memory_limit(tmp_path) is None
    assert default_waiting_bytes(None) == MOST_BYTES // 4


def test_this_system_has_one() -> None:
    limit = find_memory_limit()
    assert limit is not None
    assert limit.bytes > 100 * MIB


@pytest.mark.parametrize(
    ("limit_mib", "least", "most"),
    [(128, LEAST_BYTES, LEAST_BYTES), (256, 50 * MIB, 52 * MIB), (10**6, MOST_BYTES, MOST_BYTES)],
)
def test_the_default_leaves_room_for_the_worker_itself(limit_mib: int, least: int, most: int) -> None:
    found = default_waiting_bytes(MemoryLimit(limit_mib * MIB, "x", is_enforced=True))
    assert least <= found <= most


def settings_of(**env: str) -> Settings:
    return load_settings(env=env)


def test_a_worker_divides_what_is_set() -> None:
    memory = WorkerMemory.of(settings_of(DELIVERY_MAX_WAITING_BYTES="80000000"))
    places = memory.held_bytes()
    assert places == {"waiting": (0, 40_000_000), "routing": (0, 10_000_000), "fetched": (0, 10_000_000)}


@pytest.mark.parametrize(
    ("env", "destinations", "limit_mib", "named"),
    [
        ({}, 3, 1024, None),
        ({"DELIVERY_MAX_WAITING_BYTES": "700000000"}, 3, 1024, None),
        ({"DELIVERY_MAX_WAITING_BYTES": "900000000"}, 3, 1024, "delivery.max_waiting_bytes"),
        ({"DELIVERY_MAX_WAITING_BYTES": "10000000"}, 3, 1024, "topics.max_message_bytes"),
        ({}, 3, 128, "topics.max_message_bytes"),
        ({}, 500, 1024, "topics.max_message_bytes"),
        ({"TOPICS_MAX_MESSAGE_BYTES": "1048576"}, 500, 1024, None),
    ],
)
def test_settings_that_cannot_fit_are_reported(
    env: dict[str, str], destinations: int, limit_mib: int, named: str | None
) -> None:
    limit = MemoryLimit(limit_mib * MIB, "/sys/fs/cgroup/memory.max", is_enforced=True)
    found = list(memory_problems(settings_of(**env), destinations, lambda: limit))
    assert [text.split(":")[0] for text in found] == ([] if named is None else [named])
