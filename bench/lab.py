"""What sections measure with: one Apache Kafka, one receiver, workers that are stopped by their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console

from bench import profiles
from bench.receiver_process import LoadReceiver
from bench.window import Window
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import ApacheKafka
from tests.servers.worker import WorkerProcess

PARTITIONS = 8
MAX_IN_FLIGHT = 64
READY_SECONDS = 180.0
STOP_SECONDS = 20.0
# A worker is stopped by a signal while another program is measured; Kafka must not miss it meanwhile.
SESSION_SECONDS = 120
_ROOT_OPTIONS_AT = 3  # behind python -m faust


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    quick: bool
    uvloop: bool
    profile: bool
    window_seconds: float
    idle_seconds: float
    backlog_events: int
    results_folder: Path


class Lab:
    """The servers of one run."""

    def __init__(
        self, broker: ApacheKafka, receiver: LoadReceiver, options: Options, console: Console
    ) -> None:
        self.broker = broker
        self.receiver = receiver
        self.options = options
        self._console = console

    def tell(self, what: str) -> None:
        """Progress, for whoever waits."""
        self._console.print(f"[dim]{what}[/dim]", highlight=False)

    def env(
        self,
        names: Names,
        *,
        business: bool = False,
        clients: list[dict[str, object]] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """A worker's settings: the defaults of the service, but for names and addresses."""
        return anchor_env(
            self.broker.bootstrap,
            business_url=self.receiver.url if business else None,
            clients=clients or [],
            names=names,
            partitions=PARTITIONS,
            extra={
                "CONSUMER_SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
                "CONSUMER_HEARTBEAT_INTERVAL_SECONDS": "3",
                "DELIVERY_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT),
                **(extra or {}),
            },
        )

    @asynccontextmanager
    async def worker(
        self, env: Mapping[str, str], app: str = "bench.apps.worker"
    ) -> AsyncIterator[WorkerProcess]:
        """A worker that is ready; ended at the end, by SIGTERM within a bound or else SIGKILL."""
        worker = WorkerProcess(env, app=app)
        if not self.options.uvloop:
            use_asyncio(worker)
        worker.start()
        try:
            await worker.wait_ready(READY_SECONDS)
            yield worker
        finally:
            worker.resume()
            await asyncio.to_thread(worker.process.stop, STOP_SECONDS)
            await worker.close()

    @asynccontextmanager
    async def end_offset_counter(self, topic: str) -> AsyncIterator[EndOffsets]:
        """Counts a topic's records, without cost for whoever writes them."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap, enable_auto_commit=False)
        await asyncio.wait_for(consumer.start(), READY_SECONDS)
        try:
            yield EndOffsets(consumer, topic)
        finally:
            await consumer.stop()

    async def destinations(self, worker: WorkerProcess) -> list[dict[str, Any]]:
        """The worker's page about its destinations."""
        found: list[dict[str, Any]] = await _get(worker, "/destinations/")
        return found

    async def profile_start(self, worker: WorkerProcess) -> None:
        """Start the worker's sampler, if asked for."""
        if self.options.profile:
            await _get(worker, "/bench/profile/start/")

    async def profile_stop(self, worker: WorkerProcess, name: str, window: Window) -> None:
        """Write what the sampler saw to ``profile-<name>.txt``."""
        if self.options.profile:
            stacks = [(tuple(stack), us) for stack, us in await _get(worker, "/bench/profile/stop/")]
            self.options.results_folder.mkdir(exist_ok=True)
            file = self.options.results_folder / f"profile-{name}.txt"
            file.write_text(profiles.render(stacks, window.done))
            self.tell(f"profile: {file}")


def use_asyncio(worker: WorkerProcess) -> None:
    """Let it run on asyncio's own loop from its next start on."""
    worker.process.command[_ROOT_OPTIONS_AT:_ROOT_OPTIONS_AT] = ["-L", "aio"]


class EndOffsets:
    """How many records a topic holds."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]

    async def count(self) -> int:
        """Now."""
        ends = await asyncio.wait_for(self._consumer.end_offsets(self._partitions), 10.0)
        return sum(ends.values())


async def _get(worker: WorkerProcess, path: str) -> Any:
    timeout = aiohttp.ClientTimeout(total=30.0)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(worker.url + path) as response:
        response.raise_for_status()
        return await response.json()
