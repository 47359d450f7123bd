"""Silent connections to the pages cost neither deliveries nor probes, under a low limit of open files."""

from __future__ import annotations

import asyncio
import resource
import socket
from pathlib import Path

import pytest

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess, answers_ready

FILES_MAX = 128
SILENT = 300

pytestmark = pytest.mark.timeout(180)


async def test_silent_connections_cost_neither_deliveries_nor_probes(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    worker = await start_worker(anchor_env(broker.bootstrap, business_url=business_server.url, names=names))
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    silent = [await _connected(worker) for _ in range(SILENT)]
    try:
        for number, one in enumerate(silent):
            if number % 2:
                _send(one, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Never:")
        ids = [f"e{number}" for number in range(30)]
        events = [Record(event_value(id_, f"t{id_}", client_name="acme"), key=id_.encode()) for id_ in ids]
        await broker.publish(names.source, events)
        await business_server.wait_until(lambda: set(ids) <= set(business_server.event_ids()), 60)
        await wait_until(lambda: answers_ready(worker), 30, "no probe got through")
        assert len(list(Path(f"/proc/{worker.process.pid}/fd").iterdir())) < FILES_MAX
    finally:
        for one in silent:
            one.close()
    log = worker.log_text()
    assert "Too many open files" not in log
    assert "Traceback" not in log


async def _connected(worker: WorkerProcess) -> socket.socket:
    one = socket.socket()
    one.setblocking(False)
    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", worker.web_port)), 30)
    return one


def _send(one: socket.socket, data: bytes) -> None:
    """To a connection that the worker may have ended."""
    try:
        one.send(data)
    except OSError:
        one.close()
