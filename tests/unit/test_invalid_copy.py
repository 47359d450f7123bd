"""Every record that Kafka accepts has a copy that fits into the invalid topic, with its place."""

from __future__ import annotations

import hashlib

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import example, given
from hypothesis import strategies as st

from eventproc.invalid_copy import InvalidCopy, invalid_copy
from eventproc.record_limits import RecordLimits, record_bytes, room_needed
from eventproc.records import Headers, Source, header_values, read_origin

SOURCE = Source("TRANSACTION", 3, 2**63 - 1, -1)
LIMIT = 4096

parts = st.none() | st.binary(max_size=3 * LIMIT)
names = st.text(max_size=LIMIT)
headers_of_any_kind = st.lists(st.tuples(names, parts), max_size=20)


def copy_of(key: bytes | None, value: bytes | None, headers: Headers, limit: int = LIMIT) -> InvalidCopy:
    return invalid_copy(key, value, headers, source=SOURCE, reason="not-json", detail="x", limit=limit)


@given(parts, parts, headers_of_any_kind)
@example(None, None, [])
@example(b"k" * 3 * LIMIT, None, [])
@example(None, None, [("note", b"x" * 3 * LIMIT)])
@example(b"k", b"v" * 3 * LIMIT, [("n" * 3 * LIMIT, None)])
def test_the_copy_of_any_record_fits_and_names_its_place(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    copy = copy_of(key, value, headers)
    assert record_bytes(copy.key, copy.value, copy.headers) <= LIMIT
    assert copy.key is not None or copy.value is not None
    assert read_origin(copy.headers).source == SOURCE
    assert header_values(copy.headers)["invalid-reason"] == b"not-json"
    if record_bytes(key, value, headers) <= LIMIT - 1024 and (key, value) != (None, None):
        assert (copy.key, copy.value, copy.headers[: len(headers)]) == (key, value, headers)


@given(parts, parts, headers_of_any_kind)
def test_the_size_is_never_below_what_the_producer_calculates(
    key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    estimate = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, headers)
    assert estimate <= record_bytes(key, value, headers)


def test_what_was_cut_is_described_by_size_and_digest() -> None:
    value = b"v" * 100_000
    copy = copy_of(b"key", value, [("type", b"x"), ("note", b"n" * 50_000)])
    found = header_values(copy.headers)
    assert found["invalid-value"] == f"100000 bytes, sha256 {hashlib.sha256(value).hexdigest()}".encode()
    assert found["invalid-headers"].startswith(b"50009 bytes, sha256 ")
    assert "invalid-key" not in found
    assert copy.key == b"key"
    assert found["type"] == b"x"
    assert copy.value is not None
    assert copy.value == value[: len(copy.value)]
    assert len(copy.value) > 1000
    assert len(found["note"]) > 1000


def test_neither_key_nor_value_becomes_an_empty_value_that_says_so() -> None:
    copy = copy_of(None, None, [])
    assert (copy.key, copy.value) == (None, b"")
    assert header_values(copy.headers)["invalid-value"] == b"null"
    assert "invalid-value" not in header_values(copy_of(None, b"", []).headers)


@pytest.mark.parametrize(("topic", "limit"), [("known", 5000), ("larger", 101_536), ("unknown", 101_536)])
def test_a_topics_limit_and_the_producers_count_together(topic: str, limit: int) -> None:
    limits = RecordLimits(36_000)
    limits.learn({"known": 5000, "larger": 10**9})
    assert limits.of(topic) == limit
    assert limits.smallest == 5000


def test_a_copy_leaves_room_for_its_dead_letter() -> None:
    key = b"k" * 300
    headers: Headers = [("event-id", b"e" * 200)]
    letter = record_bytes(b"callback-api|" + b"e" * 200, b"v", [*headers, ("dead-letter-lane", key)])
    assert room_needed(key, b"v", headers, "e" * 200) > letter + 1500
