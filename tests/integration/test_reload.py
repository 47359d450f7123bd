"""A changed configuration taken over by running workers: nothing lost, nothing twice, in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import StartWorker
from tests.servers.anchor_env import TEST_SEED, Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver, wallet
from tests.servers.replies import Reply, status
from tests.servers.request_record import RequestRecord
from tests.servers.worker import WorkerProcess

SOON_SECONDS = 90.0
LANES = 12

pytestmark = pytest.mark.timeout(300)


@dataclass
class Anchor:
    """The files that an operator edits, and the environment that names them."""

    folder: Path
    broker: Broker
    names: Names
    clients: list[dict[str, Any]] = field(default_factory=list)
    watch: bool = False

    def write_clients(self, *clients: dict[str, Any]) -> None:
        self._write("clients.json", json.dumps({"items": list(clients)}))

    def write_key(self, key: str) -> None:
        self._write("key", key)

    def write_yaml(self, text: str) -> None:
        self._write("anchor.yaml", text)

    def _write(self, name: str, text: str) -> None:
        """As a careful operator does: never half a file."""
        new = self.folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.folder / name)

    def env(self, business: Receiver | None, **extra: str) -> dict[str, str]:
        env = anchor_env(
            self.broker.bootstrap,
            business_url=None if business is None else business.url,
            names=self.names,
            partitions=4,
            extra={
                "EVENTPROC_CONFIG": str(self.folder / "anchor.yaml"),
                "CLIENTS_TYPE": "file",
                "CLIENTS_VALUE": str(self.folder / "clients.json"),
                "SECRET_CALLBACK_API_AUTH_SECRET_FILE": str(self.folder / "key"),
                "CALLBACK_API_AUTH_TYPE": "api_key",
                "RELOAD_WATCH_FILES": str(self.watch).lower(),
                "RELOAD_INTERVAL_SECONDS": "0.5",
                **extra,
            },
        )
        env.pop("SECRET_CALLBACK_API_AUTH_SECRET", None)
        return env


@pytest.fixture
def anchor(tmp_path: Path, broker: Broker, names: Names) -> Anchor:
    anchor = Anchor(tmp_path, broker, names)
    anchor.write_yaml("delivery: {retry: {max_seconds: 5}}")
    anchor.write_clients()
    anchor.write_key("the-old-key")
    return anchor


def event(number: int, client: str | None = None) -> Record:
    members = {"id": f"t{number % LANES}", "sep": "24", "kind": "deposit", "status": "completed"}
    if client is not None:
        members["client_name"] = client
    value = {"type": "transaction_status_changed", "id": f"e{number}", "sep": "24", "transaction": members}
    return Record(json.dumps(value).encode(), key=f"e{number}".encode())


@dataclass
class Stream:
    """Publishes events one after another, until it is told to stop."""

    broker: Broker
    topic: str
    client: str | None = None
    every_seconds: float = 0.01
    published: int = 0

    @contextlib.asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._publish())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _publish(self) -> None:
        while True:
            batch = [event(self.published + index, self.client) for index in range(20)]
            await asyncio.shield(self._send(batch))
            await asyncio.sleep(self.every_seconds * len(batch))

    async def _send(self, batch: list[Record]) -> None:
        await self.broker.publish(self.topic, batch)
        self.published += len(batch)


def taken(receiver: Receiver, path: str | None = None) -> list[str]:
    """The ids of the events that it answered with 2xx, in their order."""
    return [
        str(request.event_id)
        for request in receiver.requests
        if path in (None, request.path) and 200 <= receiver.answered.get(request.number, 0) < 300
    ]


def assert_each_once_and_in_order(ids: Iterable[str], expected: Iterable[int]) -> None:
    found = list(ids)
    assert {id_: count for id_, count in Counter(found).items() if count > 1} == {}, "twice"
    assert sorted(found) == sorted(f"e{number}" for number in expected)
    for lane in range(LANES):
        mine = [int(id_[1:]) for id_ in found if int(id_[1:]) % LANES == lane]
        assert mine == sorted(mine), "one transaction in order"


async def metric(worker: WorkerProcess, name: str, **labels: str) -> float | None:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    values = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return values[0] if values else None


async def until(holds: Callable[[], Any]) -> None:
    """Look again and again; ``holds`` is an async function."""
    deadline = time.monotonic() + SOON_SECONDS
    while not await holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.1)


def hang_up(*workers: WorkerProcess) -> None:
    for worker in workers:
        os.kill(worker.pid, signal.SIGHUP)


async def generation(*workers: WorkerProcess, at_least: int) -> None:
    async def reached() -> bool:
        found = [await metric(worker, "eventproc_config_generation") for worker in workers]
        return all(value is not None and value >= at_least for value in found)

    await until(reached)


def expects(key: Callable[[], str]) -> Callable[[RequestRecord, int], Reply]:
    """Answers 401 to everything that does not have the key of this moment."""
    return lambda record, _number: status(200 if record.headers.get("X-Api-Key") == key() else 401)


async def test_a_key_is_changed_while_events_flow(anchor: Anchor, start_worker: StartWorker) -> None:
    """The receiver takes the new key alone from some moment on; ours comes later, in a file of its own."""
    anchor.watch = True
    valid = ["the-old-key"]
    async with Receiver(respond=expects(lambda: valid[0])) as receiver:
        workers = [await start_worker(anchor.env(receiver)) for _ in range(2)]
        stream = Stream(anchor.broker, anchor.names.source)
        async with stream.flowing():
            await receiver.wait_until(lambda: len(taken(receiver)) > 100, SOON_SECONDS)
            valid[0] = "the-new-key"
            await receiver.wait_until(lambda: 401 in receiver.answered.values(), SOON_SECONDS)
            anchor.write_key("the-new-key")
            await generation(*workers, at_least=2)
            before = len(taken(receiver))
            await receiver.wait_until(lambda: len(taken(receiver)) > before + 100, SOON_SECONDS)
        await receiver.wait_until(lambda: len(taken(receiver)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(receiver), range(stream.published))
    log = "".join(worker.log_text() for worker in workers)
    assert "SECRET_CALLBACK_API_AUTH_SECRET" in log, "what was taken over is named"
    assert "the-new-key" not in log
    assert "the-old-key" not in log
    assert log.count("Revoking previously assigned") <= 3, "no rebalance but those of the two starts"


async def test_a_client_comes_while_events_flow(anchor: Anchor, start_worker: StartWorker) -> None:
    async with Receiver(respond=expects(lambda: "the-old-key")) as business, wallet(TEST_SEED) as lobstr:
        workers = [await start_worker(anchor.env(business)) for _ in range(2)]
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await business.wait_until(lambda: len(taken(business)) > 100, SOON_SECONDS)
            anchor.write_clients(
                noncustodial_client("lobstr", lobstr.url, domains=["lobstr.co"], seps=["sep24"])
            )
            hang_up(*workers)
            await generation(*workers, at_least=2)
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 200, SOON_SECONDS)
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(business), range(stream.published))
        last = f"e{stream.published - 1}"
        await lobstr.wait_until(
            lambda: len(taken(lobstr)) >= stream.published - int(first_of(lobstr)), SOON_SECONDS
        )
        first = int(first_of(lobstr))
        assert last in taken(lobstr)
        assert_each_once_and_in_order(taken(lobstr), range(first, stream.published))
        assert lobstr.unverified == []


def first_of(receiver: Receiver) -> int:
    return min(int(id_[1:]) for id_ in taken(receiver))
