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
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from stellar_sdk import Keypair

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED, Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver, wallet
from tests.servers.replies import Answer, Reply, status
from tests.servers.request_record import RequestRecord
from tests.servers.verification import stellar_signature
from tests.servers.waiting import is_set_within, wait_until
from tests.servers.worker import WorkerProcess

SOON_SECONDS = 90.0
LANES = 12
LOBSTR = "client.lobstr.sep24"
JOINS = "(Re-)joining group"
"""What aiokafka logs whenever a worker takes part in a rebalance."""

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
                "CONSUMER_SESSION_TIMEOUT_SECONDS": "30",  # a busy machine is no dead worker
                **extra,
            },
        )
        env.pop("SECRET_CALLBACK_API_AUTH_SECRET", None)
        return env


def make_anchor(folder: Path, broker: Broker, names: Names) -> Anchor:
    anchor = Anchor(folder, broker, names)
    anchor.write_yaml("delivery: {retry: {max_seconds: 5}}")
    anchor.write_clients()
    anchor.write_key("the-old-key")
    return anchor


@pytest.fixture
def anchor(tmp_path: Path, broker: Broker, names: Names) -> Anchor:
    return make_anchor(tmp_path, broker, names)


def event(number: int, client: str | None = None) -> Record:
    named = {} if client is None else {"client_name": client}
    return Record(event_value(f"e{number}", f"t{number % LANES}", **named), key=f"e{number}".encode())


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
        ends = asyncio.Event()
        task = asyncio.create_task(self._publish(ends))
        try:
            yield
        finally:
            ends.set()
            await task  # with its last batch, which counts

    async def _publish(self, ends: asyncio.Event) -> None:
        while not ends.is_set():
            batch = [event(self.published + index, self.client) for index in range(20)]
            await self._send(batch)
            await is_set_within(ends, self.every_seconds * len(batch))

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


def hang_up(*workers: WorkerProcess) -> None:
    for worker in workers:
        os.kill(worker.pid, signal.SIGHUP)


async def generation(*workers: WorkerProcess, at_least: int) -> None:
    async def reached() -> bool:
        found = [await metric(worker, "eventproc_config_generation") for worker in workers]
        return all(value is not None and value >= at_least for value in found)

    await wait_until(reached, SOON_SECONDS, "it did not come to hold")


def expects(key: Callable[[], str]) -> Callable[[RequestRecord, int], Reply]:
    """Answers 401 to everything that does not have the key of this moment."""
    return lambda record, _number: status(200 if record.headers.get("X-Api-Key") == key() else 401)


async def test_a_key_is_changed_while_events_flow(anchor: Anchor, start_worker: StartWorker) -> None:
    """The receiver takes the new key alone from some moment on; ours comes later, in a file of its own."""
    anchor.watch = True
    valid = ["the-old-key"]
    async with Receiver(respond=expects(lambda: valid[0])) as receiver:
        workers = [await start_worker(anchor.env(receiver)) for _ in range(2)]
        joins = sum(worker.log_text().count(JOINS) for worker in workers)
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
    assert log.count(JOINS) == joins, "no rebalance but those of the two starts"


def lobstr_at(receiver: Receiver) -> dict[str, Any]:
    return noncustodial_client("lobstr", receiver.url, domains=["lobstr.co"], seps=["sep24"])


def has_taken(receiver: Receiver, count: int) -> bool:
    return len(taken(receiver)) >= count


def first_of(receiver: Receiver) -> int:
    return min(int(id_[1:]) for id_ in taken(receiver))


def last_of(receiver: Receiver) -> int:
    return max(int(id_[1:]) for id_ in taken(receiver))


async def test_a_client_comes_while_events_flow(anchor: Anchor, start_worker: StartWorker) -> None:
    async with Receiver() as business, wallet(TEST_SEED) as lobstr:
        workers = [await start_worker(anchor.env(business)) for _ in range(2)]
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await business.wait_until(lambda: len(taken(business)) > 100, SOON_SECONDS)
            anchor.write_clients(lobstr_at(lobstr))
            hang_up(*workers)
            await generation(*workers, at_least=2)
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 200, SOON_SECONDS)
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        first = first_of(lobstr)
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= stream.published - first, SOON_SECONDS)
        assert_each_once_and_in_order(taken(business), range(stream.published))
        assert_each_once_and_in_order(taken(lobstr), range(first, stream.published))
        assert lobstr.unverified == []
        for worker in workers:
            assert await worker_is_ready(worker)


async def test_a_rebalance_does_not_cut_retry_after_short(anchor: Anchor, start_worker: StartWorker) -> None:
    async with Receiver() as business, wallet(TEST_SEED) as lobstr:
        business.respond = lambda _record, _number: Answer(503, {"Retry-After": "600"})
        worker = await start_worker(anchor.env(business))
        await anchor.broker.publish(anchor.names.source, [event(0)])
        await business.wait_for(1, SOON_SECONDS)
        joins = worker.log_text().count(JOINS)

        anchor.write_clients(lobstr_at(lobstr))
        hang_up(worker)
        await generation(worker, at_least=2)
        await anchor.broker.publish(anchor.names.source, [event(1, "lobstr")])
        await lobstr.wait_until(lambda: taken(lobstr) == ["e1"], SOON_SECONDS)
        assert worker.log_text().count(JOINS) > joins
        assert [request.event_id for request in business.requests] in (["e0"], ["e0", "e1"])


async def test_workers_that_reload_one_after_the_other_lose_nothing_between(
    anchor: Anchor, start_worker: StartWorker, tmp_path: Path
) -> None:
    """One of them routes; whichever it is, what it routes to the newcomer waits for who reads it."""
    (tmp_path / "late").mkdir()
    late = make_anchor(tmp_path / "late", anchor.broker, anchor.names)
    async with Receiver() as business, wallet(TEST_SEED) as lobstr:
        early_worker = await start_worker(anchor.env(business))
        late_worker = await start_worker(late.env(business))
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await business.wait_until(lambda: len(taken(business)) > 50, SOON_SECONDS)
            for place, worker in ((anchor, early_worker), (late, late_worker)):
                place.write_clients(lobstr_at(lobstr))
                hang_up(worker)
                await generation(worker, at_least=2)
                wanted = len(taken(business)) + 50
                await business.wait_until(partial(has_taken, business, wanted), SOON_SECONDS)
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 100, SOON_SECONDS)
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        first = first_of(lobstr)
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= stream.published - first, SOON_SECONDS)
        assert_each_once_and_in_order(taken(business), range(stream.published))
        assert_each_once_and_in_order(taken(lobstr), range(first, stream.published))

        async def both_deliver_to_it() -> bool:
            counts = [
                await metric(worker, "eventproc_deliveries_total", destination=LOBSTR) or 0
                for worker in (early_worker, late_worker)
            ]
            return all(counts)

        await publish_until(stream, both_deliver_to_it)


async def test_a_url_and_a_domain_change_without_a_rebalance(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    async with wallet(TEST_SEED) as old, wallet(TEST_SEED) as new:
        anchor.write_clients(lobstr_at(old))
        worker = await start_worker(anchor.env(None))
        joins = worker.log_text().count(JOINS)
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await old.wait_until(lambda: len(taken(old)) > 50, SOON_SECONDS)
            anchor.write_clients(lobstr_at(new))
            hang_up(worker)
            await new.wait_until(lambda: len(taken(new)) > 50, SOON_SECONDS)
        await new.wait_until(lambda: len(taken(old) + taken(new)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(old) + taken(new), range(stream.published))
        assert old.unverified == new.unverified == []
        assert worker.log_text().count(JOINS) == joins
        assert worker.log_text().count("reload.applied") == 1


async def test_a_removed_client_s_waiting_events_are_delivered_and_no_others(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    async with Receiver() as business, wallet(TEST_SEED) as lobstr:
        lobstr.respond = lambda _record, _number: status(503)
        anchor.write_clients(lobstr_at(lobstr))
        worker = await start_worker(anchor.env(business))
        await anchor.broker.publish(anchor.names.source, [event(number, "lobstr") for number in range(30)])
        await business.wait_for(30, SOON_SECONDS)
        await lobstr.wait_for(2, SOON_SECONDS)
        anchor.write_clients()
        hang_up(worker)
        await generation(worker, at_least=2)
        await anchor.broker.publish(
            anchor.names.source, [event(number, "lobstr") for number in range(30, 60)]
        )
        await business.wait_for(60, SOON_SECONDS)
        assert await condition(worker, LOBSTR) in {"breaker_open", "retrying", "draining"}
        lobstr.respond = lambda _record, _number: status(200)
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= 30, SOON_SECONDS)
        assert_each_once_and_in_order(taken(lobstr), range(30))
        (line,) = [line for line in worker.log_text().splitlines() if "destination.draining" in line]
        assert LOBSTR in line
        assert "waiting=30" in line

        # It comes back as it was, without a rebalance, as its topic is still read.
        joins = worker.log_text().count(JOINS)
        anchor.write_clients(lobstr_at(lobstr))
        hang_up(worker)
        await generation(worker, at_least=3)
        await anchor.broker.publish(
            anchor.names.source, [event(number, "lobstr") for number in range(60, 70)]
        )
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= 40, SOON_SECONDS)
        assert worker.log_text().count(JOINS) == joins
        assert await condition(worker, LOBSTR) == "up"


async def test_a_worker_that_stops_says_what_nobody_delivers_any_more(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    async with wallet(TEST_SEED) as lobstr:
        lobstr.respond = lambda _record, _number: status(503)
        anchor.write_clients(lobstr_at(lobstr))
        worker = await start_worker(anchor.env(None))
        await anchor.broker.publish(anchor.names.source, [event(number, "lobstr") for number in range(5)])
        await lobstr.wait_for(1, SOON_SECONDS)
        anchor.write_clients()
        hang_up(worker)
        await generation(worker, at_least=2)
        await worker.terminate()
        (line,) = [line for line in worker.log_text().splitlines() if "destination.left_waiting" in line]
        assert LOBSTR in line
        assert "waiting=5" in line


async def test_a_worker_that_starts_without_a_client_says_what_waits_for_it(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    """As in a rollout: no worker is ever told that the client goes."""
    topic = anchor.names.topic(LOBSTR)
    async with wallet(TEST_SEED) as lobstr:
        lobstr.respond = lambda record, _number: status(200 if record.event_id in {"e0", "e1"} else 503)
        anchor.write_clients(lobstr_at(lobstr))
        before = await start_worker(anchor.env(None))
        await anchor.broker.publish(anchor.names.source, [event(number, "lobstr") for number in range(5)])
        await lobstr.wait_until(lambda: {"e0", "e1"} <= set(taken(lobstr)), SOON_SECONDS)
        await lobstr.wait_until(lambda: len({one.event_id for one in lobstr.requests}) == 5, SOON_SECONDS)
        await before.terminate()
        assert "destination.not_configured" not in before.log_text()

        anchor.write_clients()
        after = await start_worker(anchor.env(None))
        (line,) = [line for line in after.log_text().splitlines() if "destination.not_configured" in line]
        assert topic in line
        assert "waiting=3" in line
        (left,) = (await status_of(anchor))["not_configured"]
        assert left == {"topic": topic, "waiting": 3, "is_exact": True}

        anchor.write_clients(lobstr_at(lobstr))
        lobstr.respond = lambda _record, _number: status(200)
        await start_worker(anchor.env(None))
        await lobstr.wait_until(lambda: len(set(taken(lobstr))) == 5, SOON_SECONDS)
        assert (await status_of(anchor))["not_configured"] == []


async def status_of(anchor: Anchor) -> dict[str, Any]:
    """What ``eventproc destinations status --json`` prints."""
    done = await eventproc(anchor.folder, anchor.env(None), "destinations", "status", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_client_is_dropped_while_events_flow_and_comes_back_to_what_waited(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    async with Receiver() as business, wallet(TEST_SEED) as lobstr:
        lobstr.respond = lambda record, _number: status(503 if record.event_id in {"e3", "e5"} else 200)
        anchor.write_yaml("{delivery: {retry: {max_seconds: 5}}, reload: {removed_destinations: drop}}")
        anchor.write_clients(lobstr_at(lobstr))
        workers = [await start_worker(anchor.env(business)) for _ in range(2)]
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 100, SOON_SECONDS)
            anchor.write_clients()
            hang_up(*workers)
            await generation(*workers, at_least=2)
            last_routed = stream.published
            delivered = len(lobstr.requests)
            before = len(taken(business))
            await business.wait_until(lambda: len(taken(business)) > before + 200, SOON_SECONDS)
            assert len(lobstr.requests) == delivered, "nothing is sent to who was dropped"
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(business), range(stream.published))
        log = "".join(worker.log_text() for worker in workers)
        dropped = [line for line in log.splitlines() if "destination.dropped" in line]
        assert len(dropped) == 2
        assert any("waiting=0" not in line for line in dropped), "the two that fail"
        for worker in workers:
            assert await condition(worker, LOBSTR) is None
            assert await metric(worker, "eventproc_lag", destination=LOBSTR) is None

        lobstr.respond = lambda _record, _number: status(200)
        anchor.write_clients(lobstr_at(lobstr))
        hang_up(*workers)
        await generation(*workers, at_least=3)
        await lobstr.wait_until(lambda: has_taken(lobstr, last_of(lobstr) + 1), SOON_SECONDS)
        assert last_of(lobstr) < last_routed + 100, "no event of the time without it"
        assert_each_once_and_in_order(taken(lobstr), range(last_of(lobstr) + 1))


async def test_a_wrong_configuration_is_refused_and_deliveries_go_on(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    anchor.watch = True
    async with Receiver() as business:
        worker = await start_worker(anchor.env(business))
        stream = Stream(anchor.broker, anchor.names.source)
        async with stream.flowing():
            await business.wait_until(lambda: len(taken(business)) > 20, SOON_SECONDS)
            anchor.write_yaml("delivery: {order: sideways, retry: {max_seconds: soon}}")
            anchor.write_key("")

            async def refused() -> bool:
                return await metric(worker, "eventproc_reload_failed") == 1

            await wait_until(refused, SOON_SECONDS, "it did not come to hold")
            assert await worker_is_ready(worker)
            assert await metric(worker, "eventproc_config_generation") == 1
            before = len(taken(business))
            await business.wait_until(lambda: len(taken(business)) > before + 50, SOON_SECONDS)
            assert {request.headers["X-Api-Key"] for request in business.requests} == {"the-old-key"}
            refusal = [line for line in worker.log_text().splitlines() if "reload.refused" in line][-1]
            for key in (
                "delivery.order",
                "delivery.retry.max_seconds",
                "SECRET_CALLBACK_API_AUTH_SECRET_FILE",
            ):
                assert key in refusal

            anchor.write_yaml("delivery: {order: skip_stale}")
            anchor.write_key("the-new-key")
            await generation(worker, at_least=2)
            assert await metric(worker, "eventproc_reload_failed") == 0
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(business), range(stream.published))


async def test_many_signals_and_changes_in_a_rebalance_lose_nothing(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    """A worker comes and one goes, while the clients change again and again."""
    async with Receiver() as business, wallet(TEST_SEED) as lobstr, wallet(TEST_SEED) as other:
        anchor.write_clients(lobstr_at(lobstr))
        env = anchor.env(business)
        workers = [await start_worker(env) for _ in range(2)]
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        vibrant = noncustodial_client("vibrant", other.url, domains=["vibrant.co"], seps=["sep24"])
        async with stream.flowing():
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 50, SOON_SECONDS)
            coming = asyncio.ensure_future(start_worker(env))
            for number in range(6):
                anchor.write_clients(lobstr_at(lobstr), *([vibrant] if number % 2 == 0 else []))
                for _ in range(3):
                    hang_up(*workers)
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.3)
            third = await coming
            await workers[0].terminate()
            before = len(taken(lobstr))
            await lobstr.wait_until(lambda: len(taken(lobstr)) > before + 100, SOON_SECONDS)
        await business.wait_until(lambda: len(taken(business)) >= stream.published, SOON_SECONDS)
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= stream.published, SOON_SECONDS)
        for receiver in (business, lobstr):
            assert_each_once_and_in_order(taken(receiver), range(stream.published))
        log = "".join(worker.log_text() for worker in (*workers, third))
        assert "reload.crashed" not in log
        assert "commit.too_late" not in log


async def test_the_signing_key_changes_at_its_time_and_every_signature_is_right(
    anchor: Anchor, start_worker: StartWorker
) -> None:
    following = Keypair.random()
    async with Receiver() as lobstr:
        anchor.write_clients(lobstr_at(lobstr))
        worker = await start_worker(anchor.env(None, SECRET_SEP10_SIGNING_SEED_NEXT=following.secret))
        stream = Stream(anchor.broker, anchor.names.source, client="lobstr")
        async with stream.flowing():
            await lobstr.wait_until(lambda: len(taken(lobstr)) > 20, SOON_SECONDS)
            at = datetime.fromtimestamp(int(time.time()) + 6, tz=timezone.utc)
            anchor.write_yaml(f"sep10: {{signing_seed_next_at: {at.isoformat()}}}")
            hang_up(worker)
            await generation(worker, at_least=2)
            assert time.time() < at.timestamp(), "or nothing is shown"

            def last_signed_at() -> int:
                return int(lobstr.requests[-1].headers["Signature"].partition("=")[2].partition(",")[0])

            await lobstr.wait_until(lambda: last_signed_at() > at.timestamp() + 1, SOON_SECONDS)
        await lobstr.wait_until(lambda: len(taken(lobstr)) >= stream.published, SOON_SECONDS)
        assert_each_once_and_in_order(taken(lobstr), range(stream.published))
        by_key: Counter[str] = Counter()
        for request in lobstr.requests:
            signed = int(request.headers["Signature"].partition("=")[2].partition(",")[0])
            key = following.public_key if signed >= at.timestamp() else TEST_PUBLIC_KEY
            problem = stellar_signature(key, {lobstr.netloc})(request.headers, request.body)
            assert problem is None, problem
            by_key[key] += 1
        assert len(by_key) == 2
    log = worker.log_text()
    assert "signing_key.change_planned" in log
    assert "signing_key.changed" in log
    assert following.secret not in log


async def publish_until(stream: Stream, holds: Callable[[], Any]) -> None:
    async with stream.flowing():
        await wait_until(holds, SOON_SECONDS, "it did not come to hold")


async def condition(worker: WorkerProcess, destination: str) -> str | None:
    """How the page of this worker shows it; None when it is not known there."""
    url = f"{worker.url}/destinations/{destination}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return str((await answer.json())["condition"]) if answer.status == 200 else None


async def worker_is_ready(worker: WorkerProcess) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{worker.url}/health/ready") as answer:
        return answer.status == 200
