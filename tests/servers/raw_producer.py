"""Writes batches to Kafka as they are, past the checks of a client; alone or in a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NotLeaderForPartitionError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition
from typing_extensions import Self

from tests.servers.raw_batches import RawRecord, raw_batch

SECONDS = 30.0


class RawProducer:
    """Writes to one partition.

    Args:
        bootstrap: ``host:port`` of the broker.
        partition: where to.
        transactional_id: for ``transaction``.
    """

    def __init__(self, bootstrap: str, partition: TopicPartition, transactional_id: str) -> None:
        self._partition = partition
        self._transactional_id = transactional_id
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap)
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=transactional_id)

    async def __aenter__(self) -> Self:
        await asyncio.wait_for(self._client.bootstrap(), SECONDS)
        await asyncio.wait_for(self._client.set_topics([self._partition.topic]), SECONDS)
        await asyncio.wait_for(self._producer.start(), SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()
        await self._client.close()

    async def write(self, records: Sequence[RawRecord], codec: str = "none") -> int:
        """Write one batch; returns the offset of its first record."""
        return await self._send(raw_batch(records, codec=codec), None)

    async def transaction(
        self, records: Sequence[RawRecord], codec: str = "none", *, commits: bool, first: bytes
    ) -> int:
        """Write a batch in a transaction, behind one record with the value ``first``; the offset of that one."""
        manager = self._producer._txn_manager
        await self._producer.begin_transaction()
        written = await asyncio.wait_for(
            self._producer.send_and_wait(
                self._partition.topic, first, b"first", partition=self._partition.partition
            ),
            SECONDS,
        )
        sequence = manager.sequence_number(self._partition)
        producer = (manager.producer_id, manager.producer_epoch, sequence)
        batch = raw_batch(records, codec=codec, producer=producer, is_transactional=True)
        await self._send(batch, self._transactional_id)
        manager.increment_sequence_number(self._partition, len(records))
        if commits:
            await asyncio.wait_for(self._producer.commit_transaction(), SECONDS)
        else:
            await asyncio.wait_for(self._producer.abort_transaction(), SECONDS)
        return int(written.offset)

    async def _send(self, batch: bytes, transactional_id: str | None) -> int:
        leader = self._client.cluster.leader_for_partition(self._partition)
        if leader is None:
            raise NotLeaderForPartitionError(self._partition)
        topics = [(self._partition.topic, [(self._partition.partition, batch)])]
        answer = await self._client.send(leader, ProduceRequest(transactional_id, -1, 30_000, topics))
        ((_, ((_, code, offset, *_),)),) = answer.topics
        if code:
            error: type[KafkaError] = for_code(code)
            raise error(str(answer))
        return int(offset)
