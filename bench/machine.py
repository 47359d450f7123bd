"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bench.results import Machine
from tests.servers.kafka_jars import KAFKA_VERSION


def describe(*, uvloop: bool) -> Machine:
    """This machine, with what runs on it."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        python=platform.python_version(),
        loop="uvloop" if uvloop else "asyncio's loop",
        kafka=f"Apache Kafka {KAFKA_VERSION}",
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
