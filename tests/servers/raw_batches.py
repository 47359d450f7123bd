"""Batches of Kafka's record format as no client of ours would write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

CRC_AT = 17
ATTRIBUTES_AT = 21
MAGIC_AT = 16
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NOT_UTF8 = "NOTUTF8"
"""In a header's name: becomes bytes that are no UTF-8."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record; ``None`` is Kafka's null."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 1_795_500_000_000


def raw_batch(
    records: Sequence[RawRecord],
    *,
    codec: str = "none",
    base_offset: int = 0,
    producer: tuple[int, int, int] = (-1, -1, -1),
    is_transactional: bool = False,
) -> bytes:
    """A batch of version 2; ``producer`` is its id, epoch and first sequence number."""
    builder = _builder("none", producer, is_transactional)
    for number, record in enumerate(records):
        builder.append(number, record.timestamp_ms, record.key, record.value, list(record.headers))
    plain = bytes(builder.build())
    for length in range(len(NOT_UTF8), len(NOT_UTF8) + 1):
        plain = plain.replace(NOT_UTF8.encode(), b"\xff\xfe" + b"\xc3" * (length - 2))
    batch = bytearray(plain)
    if codec != "none":
        body = _compress(codec, bytes(batch[61:]))
        batch = batch[:61] + body
        struct.pack_into(">h", batch, ATTRIBUTES_AT, _attributes(batch) | CODECS[codec])
        struct.pack_into(">i", batch, 8, len(batch) - 12)
    struct.pack_into(">q", batch, 0, base_offset)
    return sealed(batch)


def sealed(batch: bytearray) -> bytes:
    """The batch with the right checksum."""
    struct.pack_into(">I", batch, CRC_AT, calc_crc32c(bytes(batch[ATTRIBUTES_AT:])))
    return bytes(batch)


def _attributes(batch: bytearray) -> int:
    return int(struct.unpack_from(">h", batch, ATTRIBUTES_AT)[0])


def _builder(codec: str, producer: tuple[int, int, int], is_transactional: bool) -> DefaultRecordBatchBuilder:
    return DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=is_transactional,
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=producer[2],
        batch_size=2**30,
    )


def _compress(codec: str, body: bytes) -> bytes:
    from aiokafka import codec as codecs

    return bytes(getattr(codecs, f"{codec}_encode")(body))
