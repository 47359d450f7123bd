"""Every mistake an operator can make at start is one readable line and an exit code, never a traceback."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

import pytest

from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka import Broker
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.worker import WorkerProcess

SEED_WITH_BAD_CHECKSUM = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5Y"


def client(**changes: object) -> dict[str, object]:
    return noncustodial_client("w", "http://127.0.0.1:9", domains=["w.example.com"]) | changes


def clients(*items: Mapping[str, object]) -> dict[str, str]:
    return {"CLIENTS_VALUE": json.dumps({"items": items})}


async def outcome(env: Mapping[str, str], web_port: int | None = None) -> tuple[int, str]:
    worker = WorkerProcess(env, web_port=web_port)
    try:
        worker.start()
        code = await worker.wait(40)
        return code, worker.log_text()
    finally:
        await worker.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EVENTS_QUEUE_TYPE": "sqs"}, ["events.queue.type", "sqs", "kafka"]),
        ({"SECRET_CALLBACK_API_AUTH_SECRET": ""}, ["SECRET_CALLBACK_API_AUTH_SECRET"]),
        ({"SECRET_SEP10_SIGNING_SEED": SEED_WITH_BAD_CHECKSUM}, ["SECRET_SEP10_SIGNING_SEED", "checksum"]),
        ({"CALLBACK_API_BASE_URL": "ftp://server"}, ["callback_api.base_url", "http"]),
        (clients(client(), client(domains=["other.example.com"])), ["clients", "name"]),
        (clients({"name": "c", "type": "custodial", "callback_urls": {}}), ["signing_keys"]),
        (clients(client(callback_urls={"sep24": "wallet/callback"})), ["callback_urls", "wallet/callback"]),
        ({"EVENTS_ENABLED": "false"}, ["events.enabled"]),
    ],
)
async def test_a_wrong_setting_is_said_and_ends_with_2(changes: dict[str, str], words: list[str]) -> None:
    env = anchor_env("127.0.0.1:1", business_url="http://127.0.0.1:9", clients=[client()], extra=changes)
    code, log = await outcome(env)
    assert code == 2
    assert all(word in log for word in words), log
    assert "Traceback" not in log
    assert SEED_WITH_BAD_CHECKSUM not in log


async def test_all_mistakes_are_said_at_once() -> None:
    changes = {
        "EVENTS_QUEUE_TYPE": "sqs",
        "DELIVERY_MAX_IN_FLIGHT": "many",
        "CALLBACK_API_AUTH_TYPE": "oauth",
    }
    env = anchor_env("127.0.0.1:1", business_url="http://127.0.0.1:9", clients=[client()], extra=changes)
    code, log = await outcome(env)
    assert code == 2
    assert all(word in log for word in ("sqs", "many", "oauth"))


async def test_an_unreachable_broker_is_tried_within_a_bound_and_ends_with_3() -> None:
    extra = {"CONSUMER_CONNECT_ATTEMPTS_SECONDS": "2"}
    server = f"{LOOPBACK}:{free_port()}"
    env = anchor_env(server, business_url="http://127.0.0.1:9", extra=extra)
    code, log = await outcome(env)
    assert code == 3
    assert f"waiting up to 2 s for Kafka at {server}" in log
    assert f"no Kafka broker answered at {server} within 2 s" in log
    assert "Traceback" not in log


async def test_a_port_in_use_is_said(embedded_broker: Broker, names: Names) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = anchor_env(embedded_broker.bootstrap, business_url="http://127.0.0.1:9", names=names)
        code, log = await outcome(env, web_port=port)
    assert code == 2
    assert f"web port {port}: in use by another program" in log
    assert "Traceback" not in log
