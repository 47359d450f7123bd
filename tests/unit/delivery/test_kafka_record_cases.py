"""Every record of ``tests/cases/kafka-records.json`` is read and routed, and ends where the case says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka.structs import TopicPartition

from eventproc.delivery.inbound import InboundRecord
from eventproc.delivery.record_batches import RawBatches, Records
from eventproc.record_limits import record_bytes
from eventproc.records import read_origin
from tests.fakes.clock import settle
from tests.servers.raw_batches import NOT_UTF8, RawRecord, raw_batch
from tests.unit.delivery.test_router import SOURCE, World, event

CASES: Final = json.loads((Path(__file__).parents[2] / "cases" / "kafka-records.json").read_text("utf-8"))
READ_COMMITTED: Final = 1
PRODUCER: Final = (7, 0, 0)
LIMIT: Final = 500_000


def text(value: Any) -> bytes | None:
    if isinstance(value, dict):
        return bytes(value["repeat"].encode() * value["times"])
    return None if value is None else str(value).encode()


def values(said: str | None) -> list[bytes | None]:
    """The case's value: its own text, or the events that it describes."""
    if said is not None and "event" in said:
        size = 1_200_000 if "1,200,000" in said else 1
        return [event(number, message="x" * size) for number in range(5 if "five" in said else 1)]
    return [text(said)]


def records(case: dict[str, Any]) -> list[RawRecord]:
    headers = [(NOT_UTF8 if "hex" in name else name, text(value)) for name, value in case.get("headers", [])]
    if "timestamp" in case["name"]:
        times = map(int, case["name"].removeprefix("timestamp ").split(", "))
        return [RawRecord(b"k", event(number), (), at) for number, at in enumerate(times)]
    return [RawRecord(text(case.get("key")), value, headers) for value in values(case["value"])]


def batches(case: dict[str, Any]) -> list[bytes]:
    """One for each timestamp, as a batch's records share one."""
    producer = case.get("producer", {})
    codec = "zstd" if "zstd" in case["name"] else producer.get("compression", "none")
    is_transactional = producer.get("transactional", False)
    ids = PRODUCER if is_transactional else (-1, -1, -1)
    alike = [[one] for one in records(case)] if "timestamp" in case["name"] else [records(case)]
    return [
        raw_batch(part, codec=codec, base_offset=number, producer=ids, is_transactional=is_transactional)
        for number, part in enumerate(alike)
    ]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_each_record_ends_where_its_case_says(case: dict[str, Any]) -> None:
    aborted = [(PRODUCER[0], 0)] if case.get("producer", {}).get("abort") else None
    data = b"".join(batches(case))
    partition = TopicPartition(*SOURCE)
    read = list(Records(partition, RawBatches(data), aborted, 0, None, None, True, READ_COMMITTED))
    async with World(max_record_bytes=LIMIT) as world:
        for one in read:
            headers = list(one.headers)
            world.router.accept(InboundRecord(SOURCE, one.offset, one.key, one.value, headers, one.timestamp))
        await settle()
        sent = world.producer.sent
        assert world.watermark == len(read)
    invalid = [headers for topic, _, _, headers in sent if topic == "invalid"]
    delivered = [headers for topic, _, _, headers in sent if topic == "to.business"]
    assert all(record_bytes(*one[1:]) <= world.limits.of(one[0]) for one in sent)
    assert [source.offset for h in (*invalid, *delivered) if (source := read_origin(h).source)] == list(
        range(len(read))
    )
    match case["right"]:
        case "invalid":
            assert (len(invalid), len(delivered)) == (1, 0)
        case "delivered, or invalid with its place":
            assert len(invalid) + len(delivered) == 1
        case right if right.startswith("delivered"):
            assert (len(invalid), len(delivered)) == (0, len(records(case)))
        case _:
            assert read == []
