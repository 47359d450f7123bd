"""One run: the servers, the load with its churn and samples, the drain, the count.

Samples and steps are written to a file of JSON lines as they come, so that they outlive a run that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from pydantic import TypeAdapter

from bench.lab import use_asyncio
from bench.load import SOURCE_PARTITIONS, client_name
from bench.machine import describe
from bench.soak.churn import Churn, Schedule, schedule
from bench.soak.receivers import BUSINESS
from bench.soak.results import KILL, MARK, SAMPLE, Mark, Sample, SoakResult
from bench.soak.samples import read_process
from bench.soak.verdicts import LONG_LIVED, repeated_unasked
from bench.soak.world_process import WorldProcess
from tests.chaos.scene import wait_until_all_done
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.waiting import is_set_within, wait_until
from tests.servers.worker import WorkerProcess

PARTITIONS: Final = 4
READY_SECONDS: Final = 120.0
DRAIN_SECONDS: Final = 300.0
COMMIT_SECONDS: Final = 60.0
WARM_UP_EVENTS: Final = 1_000
BURST_EVENTS: Final = 10_000
BURST_SECONDS: Final = 300.0
_SCRAPE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says, and what a test says in its place.

    Args:
        load_seconds: how long events are published.
        events_per_second: None: half of what the set-up sustains, measured first.
        workers: two at least; the first is never restarted.
        clients: wallets, beside the business server.
        seed: of the churn.
        nice: anchor and receivers give way to others by so much.
        sample_seconds: between samples.
        rest_seconds: between the drain and the last look; idle connections close after 30 to 60 s.
        uvloop: the workers' event loop.
        is_shared: others work on the machine; only told on.
        settings: of the workers, in place of the defaults.
        steps: the churn; None: as the seed says.
    """

    load_seconds: float
    events_per_second: float | None = None
    workers: int = 2
    clients: int = 20
    seed: int = 1
    nice: int = 0
    sample_seconds: float = 15.0
    rest_seconds: float = 75.0
    uvloop: bool = True
    is_shared: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    steps: Schedule | None = None


class Soak:
    """One run on a broker that is there.

    Args:
        broker: with no other load.
        names: topics and group.
        options: what to do.
        folder: for logs and the lines; it must not exist.
        tell: called with a line of progress.
    """

    def __init__(
        self, broker: Broker, names: Names, options: Options, folder: Path, tell: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._names = names
        self._options = options
        self._folder = folder
        self._tell = tell
        self._clients = [client_name(number) for number in range(options.clients)]
        self._marks: list[Mark] = []
        self._samples: list[Sample] = []
        self._problems: list[str] = []

    async def run(self, stop: asyncio.Event) -> SoakResult:
        """All of it; once ``stop`` is set the load ends, and what was published is still waited for."""
        self._folder.mkdir(parents=True)
        await self._broker.create_topics({self._names.source: SOURCE_PARTITIONS})
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(
                WorldProcess(
                    self._broker.bootstrap,
                    self._names.source,
                    clients=self._options.clients,
                    nice=self._options.nice,
                    log_file=self._folder / "world.log",
                )
            )
            workers = await self._start_workers(stack, await world.where())
            ready = read_process(workers[LONG_LIVED].pid)
            rate, capacity = self._options.events_per_second, None
            if rate is None:
                capacity = await self._measure(world)
                rate = capacity / 2
            date = time.strftime("%Y-%m-%dT%H-%M-%S")
            began, load_seconds = await self._load(world, workers, rate, stop)
            drain_seconds = await self._drain(world)
            await asyncio.sleep(self._options.rest_seconds)
            return await self._count(
                world,
                began,
                date=date,
                events_per_second=rate,
                capacity_per_second=capacity,
                load_seconds=load_seconds,
                drain_seconds=drain_seconds,
                ready=ready,
                at_rest=read_process(workers[LONG_LIVED].pid),
            )

    async def _start_workers(self, stack: AsyncExitStack, urls: Mapping[str, str]) -> list[WorkerProcess]:
        clients = [
            noncustodial_client(name, urls[name], domains=[f"{name}.test"], seps=["sep24"])
            for name in self._clients
        ]
        env = anchor_env(
            self._broker.bootstrap,
            business_url=urls[BUSINESS],
            clients=clients,
            names=self._names,
            partitions=PARTITIONS,
            extra={
                # As in settings/defaults.yaml; anchor_env has shorter ones.
                "CONSUMER_SESSION_TIMEOUT_SECONDS": "30",
                "CONSUMER_HEARTBEAT_INTERVAL_SECONDS": "3",
                **self._options.settings,
            },
        )
        workers = []
        for number in range(self._options.workers):
            worker = WorkerProcess(env, directory=self._folder / f"worker-{number}")
            if not self._options.uvloop:
                use_asyncio(worker)
            workers.append(await stack.enter_async_context(worker))
            await worker.wait_ready(READY_SECONDS)
            self._tell(f"worker {number} is ready, process {worker.pid}, pages at {worker.url}")
        return workers

    async def _measure(self, world: WorldProcess) -> float:
        """Events a second that all workers together deliver at full speed."""
        self._tell(f"measuring what is sustained, with {BURST_EVENTS:,} events")
        for events in (WARM_UP_EVENTS, BURST_EVENTS):
            began = time.monotonic()
            await world.burst(events)
            await self._wait_until_delivered(world, BURST_SECONDS)
            sustained = events / (time.monotonic() - began)
        self._tell(f"{sustained:,.0f} events/s are sustained")
        return sustained

    async def _load(
        self, world: WorldProcess, workers: Sequence[WorkerProcess], rate: float, stop: asyncio.Event
    ) -> tuple[float, float]:
        """When the load began, on the monotonic clock, and how long it was."""
        options = self._options
        steps = options.steps or schedule(options.seed, options.load_seconds, len(workers), self._clients)
        self._tell(f"{rate:,.0f} events/s for {options.load_seconds / 60:g} minutes, each due twice")
        began = time.monotonic()
        await world.set_rate(rate)
        tasks = [
            asyncio.ensure_future(Churn(world, workers, self._note).run(steps, began, stop)),
            asyncio.ensure_future(self._sample_on(world, workers, began, stop)),
        ]
        try:
            # Both end at the stop; one that fails before then ends the load.
            await asyncio.wait(tasks, timeout=options.load_seconds, return_when=asyncio.FIRST_EXCEPTION)
            stop.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await world.set_rate(0)
        return began, time.monotonic() - began

    async def _sample_on(
        self, world: WorldProcess, workers: Sequence[WorkerProcess], began: float, stop: asyncio.Event
    ) -> None:
        for number in itertools.count(1):
            await self._sample(world, workers, began)
            if await is_set_within(stop, began + number * self._options.sample_seconds - time.monotonic()):
                return

    async def _sample(self, world: WorldProcess, workers: Sequence[WorkerProcess], began: float) -> None:
        await asyncio.gather(*(_scrape(worker) for worker in workers))
        state = await world.state()
        broker = read_process(self._broker.process.pid)
        if broker is None:
            raise RuntimeError(f"the broker has ended\n{self._broker.process.log_tail()}")
        sample = Sample(
            at=round(time.monotonic() - began, 2),
            workers=tuple(read_process(worker.pid) for worker in workers),
            broker=broker,
            published=state.published,
            delivered=state.tally.received,
            waiting=state.waiting,
            oldest_seconds=round(state.oldest_seconds, 2),
        )
        self._samples.append(sample)
        self._write(SAMPLE, sample)

    def _note(self, mark: Mark) -> None:
        self._marks.append(mark)
        self._write(MARK, mark)
        if mark.problem is not None:
            self._problems.append(f"{mark.what} of {mark.whom} at {mark.at:.0f} s: {mark.problem}")
        self._tell(f"{mark.at:5.0f} s  {mark.what} of {mark.whom}, {mark.until - mark.at:.0f} s")

    async def _drain(self, world: WorldProcess) -> float:
        """Wait until all is delivered and committed, so that nothing comes again: the seconds it took."""
        began = time.monotonic()
        try:
            await self._wait_until_delivered(world, DRAIN_SECONDS)
            for destination in ("callback-api", *(f"client.{name}.sep24" for name in self._clients)):
                topic = self._names.topic(destination)
                await wait_until_all_done(self._broker, self._names, topic, COMMIT_SECONDS)
        except TimeoutError as error:
            self._problems.append(str(error))
        return time.monotonic() - began

    async def _count(self, world: WorldProcess, began: float, **measured: Any) -> SoakResult:
        state = await world.state()
        kills = [began + mark.at for mark in self._marks if mark.what == KILL]
        if state.problem is not None:
            self._problems.append(state.problem)
        set_aside = 0
        for destination in ("dead-letter", "invalid"):
            set_aside += sum((await self._broker.end_offsets(self._names.topic(destination))).values())
        return SoakResult(
            machine=describe(uvloop=self._options.uvloop),
            seed=self._options.seed,
            workers=self._options.workers,
            clients=self._options.clients,
            asked_seconds=self._options.load_seconds,
            ended_early=measured["load_seconds"] < self._options.load_seconds,
            is_shared=self._options.is_shared,
            tally=state.tally,
            repeated_unasked=repeated_unasked(state.repetitions, kills),
            unverified=state.unverified,
            set_aside=set_aside,
            problems=tuple(self._problems),
            marks=tuple(sorted(self._marks, key=lambda mark: mark.at)),
            samples=tuple(self._samples),
            **measured,
        )

    async def _wait_until_delivered(self, world: WorldProcess, timeout_seconds: float) -> None:
        waiting: list[int] = []

        async def is_done() -> bool:
            waiting[:] = [(await world.state()).waiting]
            return not waiting[0]

        await wait_until(is_done, timeout_seconds, lambda: f"all delivered, {waiting[0]} still wait")

    def _write(self, kind: TypeAdapter[Any], value: object) -> None:
        with (self._folder / "samples.jsonl").open("ab") as file:
            file.write(kind.dump_json(value) + b"\n")


async def _scrape(worker: WorkerProcess) -> None:
    """What Prometheus and a curious operator do all day; a worker that is down answers nothing."""
    timeout = aiohttp.ClientTimeout(total=_SCRAPE_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, OSError):
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for path in ("/metrics", "/destinations/"):
                async with session.get(worker.url + path) as page:
                    await page.read()
