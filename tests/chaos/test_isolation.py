"""One destination hangs and one refuses; the other forty-eight must not notice."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import Load
from tests.chaos.scene import QUICK, destinations, noting, report
from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import ApacheKafka
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess
from tests.servers.receiver import Receiver
from tests.servers.replies import OK, Hang, Reply, always
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import CHECKOUT, WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

GOOD = [f"good{number}" for number in range(48)]
BAD = ["hangs", "refuses"]
MAX_IN_FLIGHT = 1
ANSWER_SECONDS = 0.8
KEPT_SHARE = 0.9
ROUNDS = 3
MEMORY_GROWTH_BYTES = 30 << 20


@pytest.mark.timeout(900)
async def test_a_hung_and_a_refusing_destination_slow_no_other_one(
    apache_kafka: ApacheKafka, names: Names, start_worker: StartWorker, chaos_long: bool, tmp_path: Path
) -> None:
    """Undisturbed, disturbed, undisturbed again, each time the same events to the forty-eight.

    Their receivers set the pace, far below what the worker can do, so the rate hangs on how destinations share
    the worker. Somebody else on the machine can still slow one part of a round; what the worker does wrong, it
    does in each round.
    """
    each = 50 if chaos_long else 8
    ledger = DeliveryLedger()
    log = tmp_path / "requests.jsonl"
    is_mended = True

    def reply(record: RequestRecord, number: int) -> Reply:
        return OK if is_mended else Hang()

    await apache_kafka.create_topics({names.source: 2})
    async with (
        _receiver_process(log, delay_ms=ANSWER_SECONDS * 1000) as url,
        Receiver(respond=noting(ledger, reply), keep=False) as hanging,
        Receiver(respond=noting(ledger, always(OK)), keep=False) as refusing,
        AsyncExitStack() as stack,
    ):
        urls = {name: f"{url}/{name}" for name in GOOD}
        urls |= {"hangs": f"{hanging.url}/hangs", "refuses": f"{refusing.url}/refuses"}
        clients = [
            noncustodial_client(name, one, domains=[f"{name}.example.com"], seps=["sep24"])
            for name, one in urls.items()
        ]
        extra = {
            **QUICK,
            "DELIVERY_MAX_IN_FLIGHT": f"{MAX_IN_FLIGHT}",
            "DELIVERY_MAX_WAITING": "50",
            "DELIVERY_CONNECT_TIMEOUT_SECONDS": "2",
            "DELIVERY_REQUEST_TIMEOUT_SECONDS": "2",
        }
        env = anchor_env(apache_kafka.bootstrap, clients=clients, names=names, extra=extra)
        worker = await start_worker(env)
        loads = {
            name: await stack.enter_async_context(
                Load(
                    apache_kafka.bootstrap,
                    names.source,
                    ledger,
                    destinations=[f"/{name}/sep24"],
                    client=name,
                    prefix=f"{name}-",
                )
            )
            for name in urls
        }

        phases = 0

        async def pace() -> float:
            """Events per second at the good destinations, the same events each time."""
            nonlocal phases
            phases += 1
            await asyncio.gather(*(loads[name].publish(each) for name in GOOD))
            await _wait_for_deliveries(worker, GOOD, phases * each)
            return _rate(log, each, phases - 1)

        shares: list[float] = []
        before = await pace()
        memory = worker.memory_bytes
        for number in range(1, ROUNDS + 1):
            is_mended = False
            await refusing.refuse()
            # More than the worker may hold in memory for one destination, so their partitions pause.
            await asyncio.gather(*(loads[name].publish(200) for name in BAD))
            await hanging.wait_for(hanging.count + MAX_IN_FLIGHT)
            disturbed = await pace()
            waiting = await destinations(worker)
            assert all(waiting[f"client.{name}.sep24"]["waiting"] > 50 for name in BAD), waiting
            grown = worker.memory_bytes - memory
            is_mended = True
            await refusing.accept()
            await _wait_for_deliveries(worker, BAD, number * 200)
            after = await pace()
            shares.append(disturbed / ((before + after) / 2))
            print(
                f"\n  {before:.0f}/s undisturbed, {disturbed:.0f}/s disturbed, {after:.0f}/s after; "
                f"memory {grown / (1 << 20):+.1f} MB"
            )
            if shares[-1] >= KEPT_SHARE:
                break
            before = after
    for line in log.read_text().splitlines():
        request = json.loads(line)
        ledger.received(request["path"], request["event_id"])
    tally = report("one_hangs_one_refuses", ledger)
    assert max(shares) >= KEPT_SHARE, shares
    assert grown < MEMORY_GROWTH_BYTES
    assert tally.duplicates == 0


def _rate(log: Path, each: int, phase: int) -> float:
    """Events per second at all good destinations in one phase, counted from 0.

    Each destination's own pace, from its first event to its last: when they begin hangs on the publisher.
    """
    arrivals: defaultdict[str, list[float]] = defaultdict(list)
    for line in log.read_text().splitlines():
        request = json.loads(line)
        number = int(request["event_id"].partition("-e")[2])
        if number // each == phase:
            arrivals[request["path"]].append(request["arrived_at"])
    return sum((len(times) - 1) / (max(times) - min(times)) for times in arrivals.values())


async def _wait_for_deliveries(worker: WorkerProcess, clients: Iterable[str], count: int) -> None:
    async def are_there() -> bool:
        page = await destinations(worker)
        return bool(page) and all(page[f"client.{name}.sep24"]["deliveries"] >= count for name in clients)

    await wait_until(are_there, 120, lambda: f"{count} deliveries each\n{worker.log_tail()}")


@asynccontextmanager
async def _receiver_process(log: Path, *, delay_ms: float) -> AsyncIterator[str]:
    """A receiver that takes no time from the test's own event loop: its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tests.servers.receiver", "--port", str(port), "--log", str(log)]
    output = log.with_suffix(".out")
    process = ChildProcess([*command, "--delay-ms", str(delay_ms)], log_file=output, cwd=CHECKOUT)
    process.start()
    try:

        async def is_ready() -> bool:
            return "ready" in process.log_text()

        await wait_until(is_ready, 20, process.log_tail)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        await asyncio.to_thread(process.stop)
