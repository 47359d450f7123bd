"""A body by the span is the one that is built of the whole event, byte for byte, or there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.events import Event, decode
from eventproc.payloads import business_server_body
from eventproc.payloads.spans import joined_body, spanned_event, transaction_span
from eventproc.records import Origin, Source, internal_headers, read_origin
from tests.golden.recorded import Sample, load_samples

TIMESTAMP_MS = 1_795_515_897_123
SOURCE = Source("TRANSACTION", 0, 7, TIMESTAMP_MS)


def origin_of(event: Event, span: bytes | None = None) -> Origin:
    """What a sink reads in the headers that the router writes."""
    found = transaction_span(event) if span is None else span
    return read_origin(internal_headers(event, SOURCE, span=found))


def join(event: Event, *, value: bytes | None = None, span: bytes | None = None) -> bytes | None:
    """The business server's body of the record that the router writes."""
    joined = joined_body(origin_of(event, span), event.raw if value is None else value, TIMESTAMP_MS)
    return None if joined is None else joined.payload


def read(value: bytes) -> Event:
    event = decode(value)
    assert isinstance(event, Event)
    return event


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
MEMBERS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
TYPES = st.sampled_from(
    ["transaction_created", "TRANSACTION_STATUS_CHANGED", "quote_created", "customer_updated"]
)


@given(
    type_=TYPES,
    id_=TEXT.filter(bool),
    transaction=st.none() | st.dictionaries(TEXT, MEMBERS, max_size=5),
    others=st.dictionaries(st.sampled_from(["quote", "customer"]), st.just({"id": "x"}), max_size=2),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    ascii_=st.booleans(),
)
def test_a_joined_body_is_the_built_one(
    *,
    type_: str,
    id_: str,
    transaction: dict[str, Any] | None,
    others: dict[str, Any],
    separators: tuple[str, str],
    ascii_: bool,
) -> None:
    members = {"type": type_, "id": id_, "sep": "24", "transaction": transaction, **others}
    event = read(json.dumps(members, separators=separators, ensure_ascii=ascii_).encode())
    assert join(event) in (None, business_server_body(event, TIMESTAMP_MS))
    spanned = spanned_event(origin_of(event), event.raw)
    if spanned is not None:
        assert spanned.transaction == event.transaction
        assert (spanned.id, spanned.type, spanned.raw) == (event.id, event.type, event.raw)


@pytest.mark.parametrize("sample", load_samples(), ids=lambda sample: sample.name)
def test_a_recorded_event_is_joined_as_it_is_built(sample: Sample) -> None:
    event = decode(sample.value)
    if isinstance(event, Event):
        assert join(event) in (None, business_server_body(event, TIMESTAMP_MS))


def test_what_the_platform_writes_is_joined() -> None:
    not_joined = set()
    for sample in load_samples():
        event = decode(sample.value)
        if isinstance(event, Event) and event.transaction is not None and join(event) is None:
            not_joined.add(sample.name)
    # Numbers, and escapes where UTF-8 would do: both need the event read and written anew.
    assert not_joined == {"raw_sep_number", "raw_unknown_fields", "s24_dep_unicode_message"}


def test_updated_at_comes_along() -> None:
    event = read(
        b'{"type":"transaction_created","id":"e","transaction":{"id":"t","updated_at":"2026-11-25T10:00:00Z"}}'
    )
    span = transaction_span(event)
    assert span is not None
    assert span.endswith(b" 2026-11-25T10:00:00Z")


COMPACT = b'{"type":"transaction_created","id":"e","transaction":{"id":"t"}}'


@pytest.mark.parametrize("span", [b"", b"1 2", b"a b 64 ", b"44 62 63 ", b"\xff 1 64 ", b"44 62 64"])
def test_a_span_that_cannot_be_is_not_used(span: bytes) -> None:
    assert join(read(COMPACT), span=span) is None
    assert spanned_event(origin_of(read(COMPACT), span), COMPACT) is None


@pytest.mark.parametrize("number", ["7", "1.10", "-0", "[1]"])
def test_a_transaction_with_a_number_is_decoded_in_full(number: str) -> None:
    value = b'{"type":"transaction_created","id":"e","transaction":{"id":"t","x":%b}}' % number.encode()
    assert transaction_span(read(value)) is None


def test_a_span_is_not_used_with_another_value() -> None:
    event = read(COMPACT)
    assert join(event) is not None
    assert join(event, value=COMPACT + b" ") is None
