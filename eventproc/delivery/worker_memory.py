"""``delivery.max_waiting_bytes`` of one worker, divided between the places that hold events.

Half is for events that wait for their destination or are in flight, a quarter for the router and the
producer behind it, a quarter for what was fetched: an eighth that waits in aiokafka, as much on its way from
there.
Each has its own bound, so that destinations that are down cannot stop routing or fetching for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from eventproc.delivery.fetch_room import FetchRoom
from eventproc.delivery.held_bytes import HeldBytes
from eventproc.delivery.memory_limit import (
    IDLE_BYTES,
    LEAST_BYTES,
    MIB,
    MemoryLimit,
    default_waiting_bytes,
    find_memory_limit,
)
from eventproc.delivery.partitions import Partition
from settings import Settings

log = structlog.stdlib.get_logger("eventproc")

WAITING_SHARE: Final = 1 / 2
ROUTING_SHARE: Final = 1 / 8
"""Twice: records accepted, and their copies in the producer."""
FETCHED_SHARE: Final = 1 / 8

MOST_SHARE: Final = 0.8
"""Of the memory beside an idle worker's, above which a value that was set is reported."""


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """The bounds of one worker."""

    max_bytes: int
    limit: MemoryLimit | None
    waiting: HeldBytes
    routing: HeldBytes
    fetched: FetchRoom

    @classmethod
    def of(
        cls,
        settings: Settings,
        paused: Callable[[], Collection[Partition]] = frozenset,
        find: Callable[[], MemoryLimit | None] = find_memory_limit,
    ) -> WorkerMemory:
        """Divide what is set, or what the process's memory limit leaves."""
        limit = find()
        max_bytes = settings.delivery.max_waiting_bytes or default_waiting_bytes(limit)
        return cls(
            max_bytes,
            limit,
            waiting=HeldBytes(int(max_bytes * WAITING_SHARE), "waiting"),
            routing=HeldBytes(int(max_bytes * ROUTING_SHARE), "routing"),
            fetched=FetchRoom(int(max_bytes * FETCHED_SHARE), paused),
        )

    def held_bytes(self) -> dict[str, tuple[int, int]]:
        """What is held now and what may be, by place."""
        waiting, routing, fetched = self.waiting, self.routing, self.fetched
        return {
            "waiting": (waiting.held_bytes, waiting.max_bytes),
            "routing": (routing.held_bytes, routing.max_bytes),
            "fetched": (fetched.held_bytes, fetched.max_bytes),
        }

    def report(self) -> None:
        """Log the bound and where it comes from, once."""
        found = None if self.limit is None else self.limit.found_in
        limit_bytes = None if self.limit is None else self.limit.bytes
        log.info("memory.bounded", max_bytes=self.max_bytes, limit_bytes=limit_bytes, found_in=found)


def memory_problems(
    settings: Settings, destinations: int, find: Callable[[], MemoryLimit | None] = find_memory_limit
) -> Iterator[str]:
    """Yield why the settings cannot fit the memory of this process; nothing when they do."""
    memory = WorkerMemory.of(settings, find=find)
    limit, largest = memory.limit, settings.topics.max_message_bytes
    room = memory.waiting.max_bytes
    if largest > room:
        yield (
            f"topics.max_message_bytes: an event of {_mib(largest)} does not fit the {_mib(room)} that "
            "delivery.max_waiting_bytes leaves for waiting events; right: a lower value, or more memory for "
            "the worker"
        )
    if limit is None:
        return
    most = limit.bytes - IDLE_BYTES
    where = f"the memory limit of {_mib(limit.bytes)} ({limit.found_in})"
    if memory.max_bytes > max(LEAST_BYTES, most * MOST_SHARE):
        yield (
            f"delivery.max_waiting_bytes: {_mib(memory.max_bytes)} does not fit {where}, and the kernel may "
            f"kill the worker; right: at most {int(max(LEAST_BYTES, most * MOST_SHARE))}, or empty"
        )
    elif limit.is_enforced and destinations * largest > most:
        yield (
            f"topics.max_message_bytes: each of {destinations} destinations may always hold one event. With "
            f"all of them down, events of {_mib(largest)} do not fit {where}; right: at most "
            f"{max(1, most // destinations)}, or more memory for the worker"
        )


def _mib(count: float) -> str:
    return f"{count / MIB:,.0f} MiB"
