"""A worker whose memory limit is 256 MiB, with 50 destinations down and events of 0.9 MB."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventproc.delivery.memory_limit import MIB, MemoryLimit, default_waiting_bytes
from tests.fakes.records import event_value
from tests.servers.anchor_env import TEST_SEED, Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.memory_group import enter, kills_in, memory_group
from tests.servers.ports import free_port
from tests.servers.receiver import Receiver, wallet
from tests.servers.worker import WorkerProcess

LIMIT_BYTES = 256 * MIB
MAPPED_SHARE = 1.25
"""Resident memory counts the libraries' pages, too, which a control group does not charge twice. It was 1 GB."""
DOWN = 50
EACH = 4
EVENT_BYTES = 900_000
SOON_SECONDS = 240.0

pytestmark = pytest.mark.timeout(600)


def event(number: int, text: str) -> Record:
    value = event_value(f"e{number}", f"t{number % DOWN}", client_name=f"w{number % DOWN}", message=text)
    return Record(value, key=f"e{number}".encode())


async def test_with_50_destinations_down_a_worker_stays_within_256_mib_and_serves_the_others(
    apache_kafka: Broker, names: Names, business_server: Receiver, tmp_path: Path
) -> None:
    """It was killed 10 s after each start, before any log line."""
    port = free_port()
    clients = [
        noncustodial_client(
            f"w{number}",
            f"http://127.0.0.1:{port}/{number}",
            domains=[f"w{number}.example.com"],
            seps=["sep24"],
        )
        for number in range(DOWN)
    ]
    env = anchor_env(
        apache_kafka.bootstrap, business_url=business_server.url, clients=clients, names=names, partitions=2
    )
    env |= {"DELIVERY_BREAKER_OPEN_MAX_SECONDS": "2", "DELIVERY_RETRY_MAX_SECONDS": "2"}
    text = "x" * EVENT_BYTES
    numbers = range(DOWN * EACH)
    with memory_group(LIMIT_BYTES) as group:
        if group is None:  # what the worker would derive, and its own peak below
            derived = default_waiting_bytes(MemoryLimit(LIMIT_BYTES, "", is_enforced=True))
            env |= {"DELIVERY_MAX_WAITING_BYTES": str(derived)}
        async with WorkerProcess(env, directory=tmp_path) as worker:
            if group is not None:
                enter(group, worker.pid)
            await worker.wait_ready()
            for start in numbers[::20]:
                await apache_kafka.publish(
                    names.source, [event(number, text) for number in numbers[start : start + 20]]
                )
            await business_server.wait_until(
                lambda: not worker.is_running or len(set(business_server.event_ids())) == len(numbers),
                SOON_SECONDS,
            )
            assert worker.is_running, worker.log_tail()
            assert group is None or f"limit_bytes={LIMIT_BYTES}" in plain(worker.log_text())
            assert "memory.held_back" in worker.log_text()
            async with wallet(TEST_SEED, port=port) as wallets:
                await wallets.wait_until(
                    lambda: not worker.is_running or len(set(wallets.event_ids())) == len(numbers),
                    SOON_SECONDS,
                )
                assert worker.is_running, worker.log_tail()
                received = list(dict.fromkeys(wallets.event_ids()))
            for transaction in range(DOWN):
                mine = [f"e{number}" for number in numbers if number % DOWN == transaction]
                assert [one for one in received if one in mine] == mine, "in order"
            assert worker.peak_memory_bytes < LIMIT_BYTES * MAPPED_SHARE
            code, _ = await worker.terminate()
            assert code == 0
        assert group is None or kills_in(group) == 0


def plain(log: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", log)
