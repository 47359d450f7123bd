"""How our producer is set up: a default in place of any of this loses events, and only in rare moments."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from eventproc.delivery import producer as module
from eventproc.delivery.producer import RecordProducer
from settings import Settings, load_settings
from tests.servers.anchor_env import anchor_env


class Unconnected(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """Set up as the real one, and started without a broker."""

    async def start(self) -> None:
        """Connect to nothing."""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module, "AIOKafkaProducer", Unconnected)
    return load_settings(env=anchor_env("127.0.0.1:1", business_url="http://127.0.0.1:2"))


async def connected(settings: Settings) -> Any:
    producer = RecordProducer(settings, frozenset({"ordered"}))
    await producer.on_start()
    return producer._ordered[0].producer


async def test_a_record_is_acknowledged_by_all_replicas_and_batches_never_expire(settings: Settings) -> None:
    opened = await connected(settings)
    try:
        assert opened._sender._acks == -1, "acks=all"
        assert opened._txn_manager is not None, "idempotent"
        assert opened._message_accumulator._batch_ttl == float("inf")
    finally:
        opened._closed = True
