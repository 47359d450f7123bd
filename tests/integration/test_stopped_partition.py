"""A batch that is damaged on the broker's disk stops its partition, and a command steps over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.structs import TopicPartition

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env
from tests.servers.command import eventproc
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_client import Record, create_topics
from tests.servers.raw_batches import RawRecord, raw_batch
from tests.servers.raw_producer import RawProducer
from tests.servers.receiver import Receiver
from tests.servers.waiting import wait_until


def damage(broker: ApacheKafka, partition: TopicPartition, batch: bytes) -> bytes:
    """Turn the last bit of a batch in its segment; the broker reads it from the same pages."""
    folder = broker.data_directory / f"{partition.topic}-{partition.partition}"
    with (folder / f"{0:020d}.log").open("r+b") as segment:
        data = segment.read()
        at = data.index(batch[61:]) + len(batch) - 62
        segment.seek(at)
        segment.write(bytes([data[at] ^ 1]))
    return batch[:-1] + bytes([batch[-1] ^ 1])


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as page:
        return page.status, await page.text()


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_a_damaged_batch_stops_its_partition_alone_and_is_stepped_over(
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    tmp_path: Path,
) -> None:
    await create_topics(apache_kafka.bootstrap, {names.source: 2}, configs={"retention.ms": "-1"})
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names)
    partition, place = TopicPartition(names.source, 0), f"{names.source}/0"
    lost = [RawRecord(b"k", event_value(f"lost{number}", "t")) for number in range(3)]
    async with RawProducer(apache_kafka.bootstrap, partition, names.source) as producer:
        await producer.write([RawRecord(b"k", event_value("before", "t"))])
        assert await producer.write(lost) == 1
        await producer.write([RawRecord(b"k", event_value("behind", "t"))])
    damaged = damage(apache_kafka, partition, raw_batch(lost))

    worker = await start_worker(env)
    beside = [Record(event_value(f"beside{number}", "u"), partition=1) for number in range(5)]
    await apache_kafka.publish(names.source, beside)
    await business_server.wait_for(6, 60)
    assert set(business_server.event_ids()) == {"before", *(f"beside{number}" for number in range(5))}

    async def is_told() -> bool:
        return "partition.stopped" in worker.log_text()

    await wait_until(is_told, 30, "the stopped partition is not in the log")
    status, text = await get(f"{worker.url}/health/ready")
    (stopped,) = json.loads(text)["stopped_partitions"]
    assert (status, stopped["topic"], stopped["partition"], stopped["offset"]) == (200, names.source, 0, 1)
    _, metrics = await get(f"{worker.url}/metrics")
    samples = [
        line for line in metrics.splitlines() if line.startswith("eventproc_partition_stopped_offset{")
    ]
    assert [line.rpartition(" ")[2] for line in samples] in (["1"], ["1.0"])
    report = await eventproc(tmp_path, env, "doctor", code=1)
    assert "stands still at offset 1" in report.stdout
    refused = await eventproc(tmp_path, env, "offsets", "skip", place, code=1)
    assert "stop all of them first" in refused.stderr

    await worker.terminate()
    done = await eventproc(tmp_path, env, "offsets", "skip", place, "--yes", "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (answer["offset"], answer["next_offset"], answer["skipped"]) == (1, 4, True)
    (note,) = await apache_kafka.read_all(names.topic("invalid"))
    assert (note.headers["source-offset"], note.headers["next-offset"]) == (b"1", b"4")
    assert note.headers["invalid-reason"] == b"unreadable-batch"
    assert note.value is not None
    assert note.value[17:] == damaged[17:], "the bytes, for whoever wants to look"
    again = await eventproc(tmp_path, env, "offsets", "skip", place, code=1)
    assert "can be read" in again.stderr

    await start_worker(env)
    await business_server.wait_until(lambda: "behind" in business_server.event_ids(), 60)
    delivered = [
        event_id for event_id in business_server.event_ids() if event_id is not None
    ]  # doctor asks, too
    assert delivered[6:] == ["behind"]
