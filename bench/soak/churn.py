"""What happens to workers and receivers during a run: when, from a seed, and how.

Workers and receivers have schedules of their own, so that some restarts fall into a fault. The beginning and
the end are quiet: the workers warm up, and what waits can drain.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from bench.soak.receivers import BUSINESS, Fault
from bench.soak.results import KILL, RESTART, Mark
from bench.soak.world_process import WorldProcess
from tests.servers.waiting import is_set_within
from tests.servers.worker import WorkerProcess

RESTART_EVERY_SECONDS: Final = (180.0, 300.0)
KILL_AMONG: Final = 4
"""One restart in so many is a SIGKILL."""
FAULT_SECONDS: Final = (20.0, 40.0)
FAULT_PAUSE_SECONDS: Final = (20.0, 60.0)
BUSINESS_SHARE: Final = 0.3
"""Of the faults; the rest are the wallets', one at a time."""
QUIET_SECONDS: Final = 120.0
QUIET_SHARE: Final = 0.1
"""The quiet at both ends is this share of a run, ``QUIET_SECONDS`` at most."""

_TERMINATE_SECONDS: Final = 45.0
_READY_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class WorkerStep:
    """A worker is started anew after SIGTERM or SIGKILL."""

    at: float
    worker: int
    kill: bool = False


@dataclass(frozen=True, slots=True)
class FaultStep:
    """A receiver misbehaves for a while."""

    at: float
    receiver: str
    fault: Fault
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """Both kinds, each in order of time."""

    workers: tuple[WorkerStep, ...]
    faults: tuple[FaultStep, ...]


def schedule(seed: int, load_seconds: float, workers: int, clients: Sequence[str]) -> Schedule:
    """What happens in a run of that length; worker 0 is left alone."""
    quiet = min(QUIET_SECONDS, QUIET_SHARE * load_seconds)
    return Schedule(
        tuple(_worker_steps(random.Random(f"{seed}/workers"), load_seconds, quiet, workers)),
        tuple(_fault_steps(random.Random(f"{seed}/faults"), load_seconds, quiet, clients)),
    )


def _worker_steps(rng: random.Random, load: float, quiet: float, workers: int) -> Iterator[WorkerStep]:
    at = quiet
    for number in itertools.count(1):
        at += min(rng.uniform(*RESTART_EVERY_SECONDS), load / 5)
        if at > load - quiet:
            return
        yield WorkerStep(at, 1 + (number - 1) % (workers - 1), kill=number % KILL_AMONG == KILL_AMONG - 1)


def _fault_steps(
    rng: random.Random, load: float, quiet: float, clients: Sequence[str]
) -> Iterator[FaultStep]:
    at = quiet
    deck: list[Fault] = []
    while True:
        deck = deck or rng.sample(list(Fault), len(Fault))
        seconds = rng.uniform(*FAULT_SECONDS)
        at += rng.uniform(*FAULT_PAUSE_SECONDS)
        if at + seconds > load - quiet:
            return
        receiver = BUSINESS if rng.random() < BUSINESS_SHARE else rng.choice(clients)
        yield FaultStep(at, receiver, deck.pop(), seconds)
        at += seconds


class Churn:
    """Does what is scheduled; what a step touched is whole again before the next one of its kind begins.

    Args:
        world: whose receivers misbehave.
        workers: by number.
        note: called with each step once it is over.
    """

    def __init__(
        self, world: WorldProcess, workers: Sequence[WorkerProcess], note: Callable[[Mark], None]
    ) -> None:
        self._world = world
        self._workers = workers
        self._note = note
        self._began = 0.0

    async def run(self, steps: Schedule, began: float, stop: asyncio.Event) -> None:
        """Do all of it, or until ``stop``; ``began`` is when the load did, on the monotonic clock."""
        self._began = began
        await asyncio.gather(self._all_workers(steps.workers, stop), self._all_faults(steps.faults, stop))

    async def _all_workers(self, steps: Sequence[WorkerStep], stop: asyncio.Event) -> None:
        for step in steps:
            if await is_set_within(stop, step.at - self._now()):
                return
            at = self._now()
            problem = await self._start_anew(self._workers[step.worker], kill=step.kill)
            what = KILL if step.kill else RESTART
            self._note(Mark(at, self._now(), what, f"worker {step.worker}", problem))

    async def _all_faults(self, steps: Sequence[FaultStep], stop: asyncio.Event) -> None:
        for step in steps:
            if await is_set_within(stop, step.at - self._now()):
                return
            at, problem = self._now(), None
            try:
                await self._world.fault(step.receiver, step.fault)
                await is_set_within(stop, step.seconds)
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                problem = repr(error)
            await self._world.mend(step.receiver)
            self._note(Mark(at, self._now(), step.fault.value, step.receiver, problem))

    async def _start_anew(self, worker: WorkerProcess, *, kill: bool) -> str | None:
        """What went wrong; None when nothing did. A run goes on either way: that is worth knowing, too."""
        try:
            if kill:
                worker.kill()
            else:
                code, _ = await worker.terminate(_TERMINATE_SECONDS)
                if code:
                    return f"ended with exit code {code}"
        except TimeoutError as error:
            return str(error)
        finally:
            worker.start()
        try:
            await worker.wait_ready(_READY_SECONDS)
        except (TimeoutError, RuntimeError) as error:
            return str(error)
        return None

    def _now(self) -> float:
        return time.monotonic() - self._began
