"""What needs no Kafka; the rest is in tests/integration/test_kafka_security.py."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from eventproc.delivery.kafka_access import LetIn, Refused, Unreachable, _Door, ask_for_access
from settings import Settings
from tests.servers.kafka import EmbeddedBroker
from tests.servers.ports import LOOPBACK, free_port
from tests.unit.settings.loading import Loading


def settings(folder: Path, servers: str, **more: str) -> Settings:
    return Loading(folder).load(env={"EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER": servers, **more})


async def test_a_broker_without_security_lets_us_in_at_once(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    servers = f"{LOOPBACK}:{free_port()},{embedded_broker.bootstrap}"
    assert isinstance(await ask_for_access(settings(tmp_path, servers)), LetIn)


async def test_where_nobody_listens_it_may_be_later(tmp_path: Path) -> None:
    server = f"{LOOPBACK}:{free_port()}"
    access = await ask_for_access(settings(tmp_path, server))
    assert isinstance(access, Unreachable)
    assert server in access.problem


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
async def test_a_port_that_hangs_up_says_nothing_of_security(tmp_path: Path, protocol: str) -> None:
    """As a proxy does before its brokers are there."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, LOOPBACK, 0)
    async with server:
        at = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        found = settings(tmp_path, at, EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL=protocol)
        access = await asyncio.wait_for(ask_for_access(found), 30)
    assert isinstance(access, Unreachable)


async def test_a_broker_that_does_not_know_the_password_itself_is_not_waited_for(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        "k:1",
        EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        EVENTS_QUEUE_KAFKA_SASL_MECHANISM="SCRAM-SHA-256",
        SECRET_EVENTS_QUEUE_KAFKA_USERNAME="u",
        SECRET_EVENTS_QUEUE_KAFKA_PASSWORD="p",
    )
    # What aiokafka raises when the server's signature is wrong.
    access = await _Door(found.events.queue.kafka, {}, "k", 1)._explain(
        ValueError("Server sent wrong signature!")
    )
    assert isinstance(access, Refused)
    assert "does not prove that it knows the password" in access.problem


async def test_a_silent_port_does_not_hold_up_one_that_answers(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, LOOPBACK, 0)
    async with server:
        silent = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        began = time.monotonic()
        access = await ask_for_access(settings(tmp_path, f"{silent},{embedded_broker.bootstrap}"))
    assert isinstance(access, LetIn)
    assert time.monotonic() - began < 8
