"""What the journal of attempts holds, and how many entries become the value of one Kafka record, and back.

A delivery must not cost a record of its own, so a record has the entries of many lanes that share a
partition: gzip around JSON, ``[version, worker, [[kind, [field, …]], …]]``, fields in the order of the types
below. ::

    kcat -C -t eventproc.attempts -o -1 -c 1 -f %s | gunzip

An entry has no body and no answer of a receiver, only what the log at warning has, too. Fields are only ever
added, at the end before ``worker`` and with a default: who reads leaves out what it does not know. Anything
else is a new version.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from eventproc.errors import EventprocError
from eventproc.records import Source

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""Of one record, unpacked. A writer stays far below; a foreign record must not fill the memory."""

DROPPED: Final = "dropped"
"""The header of a record that says how many entries its worker could not write before it."""

REPLAY: Final = "replay"
STALE: Final = "stale"
UNCHANGED: Final = "unchanged"

_MAX_INT: Final = 2**63 - 1
_GZIP_LEVEL: Final = 1
_GZIP: Final = 31
"""zlib's ``wbits`` for a gzip header; ``gzip.compress`` of Python 3.10 is several times as slow."""


class Routed(NamedTuple):
    """Where an event goes, and by what its client was found.

    ``unbuildable`` names clients whose body cannot be made: the router has dead-lettered their copies.
    """

    lane: str
    event_id: str
    source: Source | None
    at: float
    event_type: str
    sep: str | None
    match: str
    destinations: tuple[str, ...]
    unbuildable: tuple[str, ...]
    misfit: str | None
    worker: str = ""


class Invalid(NamedTuple):
    """A record of the source went to the invalid topic. Its lane is its key, as nothing better is known."""

    lane: str
    event_id: str
    source: Source | None
    at: float
    reason: str
    detail: str
    worker: str = ""


class Attempt(NamedTuple):
    """One request: ``outcome`` is ``delivered``, ``rejected`` or ``failed``, ``kind`` says why it failed.

    ``number`` counts from 1 in one worker's hands. ``next_try_at`` is what was planned: a probe or a recovery
    can bring it forward, an open breaker put it off.
    """

    lane: str
    event_id: str
    source: Source | None
    at: float
    destination: str
    number: int
    seconds: float
    outcome: str
    kind: str | None
    status: int | None
    detail: str | None
    next_try_at: float | None
    redriven: str | None
    worker: str = ""


class DeadLettered(NamedTuple):
    """An event was set aside; ``attempts`` counts as ``Attempt.number`` does."""

    lane: str
    event_id: str
    source: Source | None
    at: float
    destination: str
    reason: str
    detail: str
    attempts: int
    status: int | None
    worker: str = ""


class Skipped(NamedTuple):
    """An event needed no request; ``why`` is one of these.

    - ``stale``: a newer state of its transaction was delivered.
    - ``unchanged``: the customer's content is what was delivered last.
    - ``replay``: a copy of what is done or waits already.
    """

    lane: str
    event_id: str
    source: Source | None
    at: float
    destination: str
    why: str
    worker: str = ""


class Redriven(NamedTuple):
    """An operator sent a dead letter again."""

    lane: str
    event_id: str
    source: Source | None
    at: float
    destination: str
    worker: str = ""


Entry: TypeAlias = Routed | Invalid | Attempt | DeadLettered | Skipped | Redriven

_KINDS: Final[dict[type[Entry], str]] = {
    Routed: "routed",
    Invalid: "invalid",
    Attempt: "attempt",
    DeadLettered: "dead_lettered",
    Skipped: "skipped",
    Redriven: "redriven",
}
_TYPES: Final = {kind: (type_._fields[:-1], TypeAdapter[Entry](type_)) for type_, kind in _KINDS.items()}


class JournalRecordError(EventprocError):
    """A record of the attempts topic that this version cannot read."""


def partition_of(lane: str, partitions: int) -> int:
    """Where a lane's entries stand: its CRC-32 (zlib's) over the number of partitions.

    Kafka's own murmur2 is pure Python in aiokafka and costs far more.
    """
    return zlib.crc32(lane.encode("utf-8", "replace")) % partitions


def encode(entries: Sequence[Entry], worker: str) -> bytes:
    """The value of one record; ``worker`` takes the place of each entry's own."""
    rows = [(_KINDS[type(entry)], entry[:-1]) for entry in entries]
    try:
        plain = orjson.dumps([VERSION, worker, rows], default=tuple)
    except TypeError:  # half a surrogate pair, or a number beyond 64 bits in a foreign record's headers
        plain = orjson.dumps(_encodable([VERSION, worker, rows]))
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(plain) + packer.flush()


def decode(value: bytes, lane: str) -> list[Entry]:
    """The entries of one lane. Nearly free for a record that has none of it: its JSON is not parsed.

    Raises:
        JournalRecordError: the value is damaged, foreign, or of a version to come.
    """
    plain = _unpack(value)
    if orjson.dumps(_text(lane)) not in plain:
        return []
    try:
        version, worker, entries = orjson.loads(plain)
    except ValueError as error:
        raise JournalRecordError("no JSON of three parts") from error
    if version != VERSION:
        raise JournalRecordError(f"version {version!r} instead of {VERSION}")
    try:
        return list(_read(entries, _text(lane), worker))
    except (ValidationError, TypeError, ValueError, KeyError, IndexError) as error:
        raise JournalRecordError(f"an entry of another form: {type(error).__name__}") from error


def _read(entries: Any, lane: str, worker: Any) -> Iterable[Entry]:
    for kind, fields in entries:
        if kind in _TYPES and fields[0] == lane:
            names, adapter = _TYPES[kind]
            yield adapter.validate_python(dict(zip(names, fields, strict=False)) | {"worker": worker})


def _unpack(value: bytes) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(value, MAX_RECORD_BYTES)
    except zlib.error as error:
        raise JournalRecordError("not packed with gzip") from error
    if not unpacker.eof:
        raise JournalRecordError("cut off, or too large")
    return plain


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return max(-_MAX_INT, min(value, _MAX_INT))
    return [_encodable(part) for part in value] if isinstance(value, (list, tuple)) else value


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
