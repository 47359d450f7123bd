"""Every line that a worker writes, from its first to its exit."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartWorker
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.ports import free_port
from tests.servers.receiver import Receiver
from tests.servers.replies import always, status
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

BY_ALL = {"timestamp", "level", "logger", "event"}
TABLE = ("+--", "┌", "│", "|--")
NOISY_CODE = """
import asyncio, logging, sys, threading, warnings
from eventproc.app import app, worker

class Crash:
    def __del__(self):
        raise ValueError("in a finalizer")

async def fails():
    raise ValueError("in a task")

def crash():
    raise ValueError("in a thread")

@app.on_worker_init.connect
def on_init(*_, **__):
    threading.Thread(target=crash).start()

@app.timer(interval=0.5)
async def noise():
    if done:
        return
    done.append(True)
    print("printed, with ünïcode")
    sys.stderr.write("written in parts, ")
    sys.stderr.write("on one line\\nunfinished")
    warnings.warn("a warning of Python")
    logging.getLogger("foreign").error("wrong number of values: %s %s", 1)
    logging.getLogger("foreign").warning("line one\\nline two", extra={"more": {1: float("nan")}})
    Crash()
    asyncio.ensure_future(fails())

done = []
"""


def events(worker: WorkerProcess) -> list[dict[str, Any]]:
    """The lines as objects; a line that is none fails the test."""
    return [_parsed(line) for line in worker.log_text().splitlines()]


def _parsed(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON: {line}"))
    except ValueError:
        pytest.fail(f"not JSON: {line!r}")
    assert isinstance(event, dict)
    assert set(event) >= BY_ALL - ({"timestamp", "level"} if event.get("event") == "log.failed" else set()), (
        line
    )
    assert not any(sign in line for sign in TABLE), line
    return event


def names_of(worker: WorkerProcess) -> list[str]:
    return [event["event"] for event in events(worker)]


async def test_each_line_of_a_worker_is_one_json_object(
    broker: Broker, names: Names, tmp_path: Path, business_server: Receiver, wallet_server: Receiver
) -> None:
    """Deliveries, a failing receiver, a rebalance, exceptions of all kinds, and the end by a signal."""
    (tmp_path / "noisy_app.py").write_text(NOISY_CODE)
    wallet_server.respond = always(status(503))
    wallet = noncustodial_client("reference", wallet_server.url, domains=["wallet.example.com"])
    env = anchor_env(broker.bootstrap, business_url=business_server.url, clients=[wallet], names=names)
    env = {**env, "LOGGING_FORMAT": "json", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    options = {"app": "noisy_app", "python_path": [tmp_path]}
    async with WorkerProcess(env, **options) as first:  # type: ignore[arg-type]
        await first.wait_ready()
        values = [json.dumps(_event(f"t-{number}")).encode() for number in range(30)]
        await broker.publish(names.source, [Record(value) for value in [*values, b"not JSON"]])
        await business_server.wait_for(30, 30)
        async with WorkerProcess(env) as second:
            await second.wait_ready()
            wanted = {"record.invalid", "breaker.opened", "printed"}
            await wait_until(lambda: _has(first, wanted), 30, first.log_tail)
            code, _ = await second.terminate()
            assert code == 0
            assert names_of(second)[0] == "worker.starting"
        first.process.send_signal(signal.SIGUSR1)  # Faust prints the stack of every thread
        await wait_until(lambda: _has(first, {"LOCAL VARIABLES"}), 30, first.log_tail)
        code, _ = await first.terminate()
        lines = events(first)
    assert code == 0
    written = {one["text"]: one["stream"] for one in lines if one["event"] == "output.written"}
    assert written["printed, with ünïcode"] == "stdout"
    assert written["written in parts, on one line"] == "stderr"
    found = {one["event"]: one for one in lines}
    assert "in a thread" in found["thread.crashed"]["exception"]
    assert "in a finalizer" in found["exception.ignored"]["exception"]
    assert any("in a task" in one.get("exception", "") for one in lines if one["logger"] == "asyncio")
    assert found["line one\nline two"]["logger"] == "foreign"
    assert any(one["logger"] == "py.warnings" for one in lines)
    assert found["log.failed"]["logger"] == "foreign"


def _event(transaction: str) -> dict[str, Any]:
    return {
        "type": "transaction_status_changed",
        "id": f"e-{transaction}",
        "sep": "24",
        "transaction": {"id": transaction, "sep": "24", "kind": "deposit", "client_name": "reference"},
    }


async def _has(worker: WorkerProcess, texts: set[str]) -> bool:
    return all(text in worker.log_text() for text in texts)


@pytest.mark.parametrize(
    ("change", "code", "event", "text"),
    [
        pytest.param({"SEP10_HOME_DOMAINS": "", "DELIVERY_MAX_IN_FLIGHT": "many", "LOGGING_LEVLE": "x"}, 2,
                     "configuration.refused", "delivery.max_in_flight", id="wrong value"),
        pytest.param({"EVENTS_ENABLED": "false"}, 2, "worker.not_started", "events.enabled", id="switched off"),
        pytest.param({"CONSUMER_CONNECT_ATTEMPTS_SECONDS": "2"}, 3, "worker.not_started", "no Kafka broker",
                     id="no broker"),
    ],
)  # fmt: skip
async def test_a_worker_that_does_not_start_logs_why_in_json(
    names: Names, change: dict[str, str], code: int, event: str, text: str
) -> None:
    env = anchor_env(f"127.0.0.1:{free_port()}", business_url="http://127.0.0.1:1", clients=[], names=names)
    async with WorkerProcess({**env, "LOGGING_FORMAT": "json", **change}) as worker:
        assert await worker.wait(60) == code
        (last,) = [one for one in events(worker) if one["event"] == event]
    assert text in json.dumps(last)
    assert last["exit_code"] == code


async def test_an_unknown_option_is_reported_in_json(names: Names) -> None:
    env = anchor_env("127.0.0.1:1", business_url="http://127.0.0.1:1", clients=[], names=names)
    async with WorkerProcess({**env, "LOGGING_FORMAT": "json"}, options=["--no-such-option"]) as worker:
        assert await worker.wait(60) == 2
        assert "--no-such-option" in "".join(one["text"] for one in events(worker))


async def test_a_worker_prints_no_table_for_people_either(
    broker: Broker, names: Names, start_worker: StartWorker, business_server: Receiver
) -> None:
    worker = await start_worker(
        anchor_env(broker.bootstrap, business_url=business_server.url, clients=[], names=names)
    )
    await worker.terminate()
    lines = worker.log_text().splitlines()
    assert [line for line in lines if any(sign in line for sign in TABLE)] == []
    assert "event='worker.starting'" in lines[0]
