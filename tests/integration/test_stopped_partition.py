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


def change_length(broker: ApacheKafka, partition: TopicPartition, batch: int, length: int) -> None:
    """Change the length of a batch, by its number, in its segment."""
    folder = broker.data_directory / f"{partition.topic}-{partition.partition}"
    with (folder / f"{0:020d}.log").open("r+b") as segment:
        data, at = segment.read(), 0
        for _ in range(batch):
            at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        segment.seek(at + 8)
        segment.write(length.to_bytes(4, "big", signed=True))


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_what_cannot_be_read_stops_its_partition_alone_and_is_stepped_over(
    apache_kafka: ApacheKafka,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    tmp_path: Path,
) -> None:
    """A wrong checksum; a length below zero, which Kafka 4.1 refuses; one too large, for which it gives nothing."""
    configs = {"retention.ms": "-1", "index.interval.bytes": "1"}
    await create_topics(apache_kafka.bootstrap, {names.source: 4}, configs=configs)
    env = anchor_env(apache_kafka.bootstrap, business_url=business_server.url, names=names)
    lost = [RawRecord(b"k", event_value(f"lost{number}", "t")) for number in range(3)]
    for number in range(3):
        partition = TopicPartition(names.source, number)
        async with RawProducer(apache_kafka.bootstrap, partition, names.source) as producer:
            await producer.write([RawRecord(b"k", event_value(f"before{number}", "t"))])
            assert await producer.write(lost) == 1
            await producer.write([RawRecord(b"k", event_value(f"behind{number}", "t"))])
    damaged = damage(apache_kafka, TopicPartition(names.source, 0), raw_batch(lost))
    change_length(apache_kafka, TopicPartition(names.source, 1), 1, -5)
    change_length(apache_kafka, TopicPartition(names.source, 2), 1, 1 << 30)

    worker = await start_worker(env)
    beside = [Record(event_value(f"beside{number}", "u"), partition=3) for number in range(5)]
    await apache_kafka.publish(names.source, beside)
    await business_server.wait_for(8, 60)
    before = {f"before{number}" for number in range(3)}
    assert set(business_server.event_ids()) == before | {f"beside{number}" for number in range(5)}

    async def are_told() -> bool:
        return worker.log_text().count("partition.stopped") == 3

    await wait_until(are_told, 60, "a stopped partition is not in the log")
    tries = worker.log_text().count("Unexpected error while fetching data")
    assert tries <= 5, "there is a pause between two tries"
    status, text = await get(f"{worker.url}/health/ready")
    stopped = json.loads(text)["stopped_partitions"]
    assert status == 200
    places = [(one["topic"], one["partition"], one["offset"], one["next_offset"]) for one in stopped]
    assert places == [(names.source, number, 1, behind) for number, behind in enumerate((4, None, None))]
    words = ("Invalid CRC", "CorruptRecordException", "no records")
    assert all(word in one["problem"] for word, one in zip(words, stopped, strict=True))
    _, metrics = await get(f"{worker.url}/metrics")
    samples = [
        line for line in metrics.splitlines() if line.startswith("eventproc_partition_stopped_offset{")
    ]
    assert [float(line.rpartition(" ")[2]) for line in samples] == [1, 1, 1]
    report = await eventproc(tmp_path, env, "doctor", code=1)
    assert report.stdout.count("stands still at offset 1") == 3
    refused = await eventproc(tmp_path, env, "offsets", "skip", f"{names.source}/0", code=1)
    assert "stop all of them first" in refused.stderr

    await worker.terminate()
    for number in range(3):
        place = f"{names.source}/{number}"
        done = await eventproc(tmp_path, env, "offsets", "skip", place, "--yes", "--json")
        answer: dict[str, Any] = json.loads(done.stdout)
        assert (answer["offset"], answer["next_offset"], answer["skipped"]) == (1, 4, True)
    notes = {
        note.headers["source-partition"]: note for note in await apache_kafka.read_all(names.topic("invalid"))
    }
    for note in notes.values():
        assert (note.headers["source-offset"], note.headers["next-offset"]) == (b"1", b"4")
        assert note.headers["invalid-reason"] == b"unreadable-batch"
    value = notes[b"0"].value
    assert len(notes) == 3
    assert value is not None
    assert value[17:] == damaged[17:], "the bytes, for a person who wants to look"
    again = await eventproc(tmp_path, env, "offsets", "skip", f"{names.source}/0", code=1)
    assert "can be read" in again.stderr

    await start_worker(env)
    behind = {f"behind{number}" for number in range(3)}
    await business_server.wait_until(lambda: behind <= set(business_server.event_ids()), 60)
    delivered = [
        event_id for event_id in business_server.event_ids() if event_id is not None
    ]  # doctor asks, too
    assert sorted(delivered[8:]) == sorted(behind)
