"""The business server's body."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventproc.events import MAX_DEPTH, Event, decode
from eventproc.payloads import business_server_body
from eventproc.payloads.platform_event import iso_timestamp
from tests.unit.payloads.builders import business_server_payload, event, event_of


@pytest.mark.parametrize(
    ("timestamp_ms", "text"),
    [
        (1_795_515_897_123, "2026-11-24T10:24:57.123Z"),
        (1_795_515_897_000, "2026-11-24T10:24:57.000Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_timestamp_is_utc_with_milliseconds_and_never_fails(timestamp_ms: int, text: str) -> None:
    assert iso_timestamp(timestamp_ms) == text


def test_body_stays_the_same_over_retries() -> None:
    value = b'{"id":"e","type":"QUOTE_CREATED","quote":{"id":"q"}}'
    body = business_server_body(event(value), 1_795_515_897_123)
    assert body == business_server_body(event(value), 1_795_515_897_123)
    assert json.loads(body) == {
        "id": "e",
        "timestamp": "2026-11-24T10:24:57.123Z",
        "type": "quote_created",
        "payload": {"quote": {"id": "q"}},
    }


ALL: dict[str, Any] = {
    "transaction": {"id": "t", "x": None},
    "quote": {"id": "q"},
    "customer": {"id": "c", "status": "ACCEPTED"},
}


@pytest.mark.parametrize(
    ("type_", "members", "payload"),
    [
        ("transaction_created", {}, {}),
        ("transaction_status_changed", {"transaction": None}, {}),
        ("quote_created", {"customer": ALL["customer"]}, {}),
        ("customer_updated", {}, {}),
        ("transaction_created", ALL, {"transaction": ALL["transaction"]}),
        ("transaction_status_changed", ALL, {"transaction": ALL["transaction"]}),
        ("quote_created", ALL, {"transaction": ALL["transaction"], "quote": ALL["quote"]}),
        ("customer_updated", ALL, {**ALL, "customer": {"id": "c"}}),
        ("customer_updated", {"customer": {"id": None}}, {"customer": {}}),
        ("customer_updated", {"customer": {"id": 7}}, {"customer": {"id": "7"}}),
        ("transaction_created", {"transaction": {}}, {"transaction": {}}),
    ],
)
def test_payload_has_the_objects_of_the_type(
    type_: str, members: dict[str, Any], payload: dict[str, Any]
) -> None:
    assert business_server_payload(event_of(type_, **members)) == payload


def test_odd_transactions_go_out_as_received() -> None:
    odd = {
        "id": "t",
        "sep": "99",
        "kind": "receive",
        "status": "no such",
        "started_at": "yesterday",
        "x": [None],
    }
    assert business_server_payload(event_of(transaction=odd)) == {"transaction": odd}


def test_unknown_numbers_keep_their_digits_and_known_ones_become_strings() -> None:
    value = (
        b'{"id":"e","type":"transaction_created","transaction":{"sep":24,"amount_in":{"amount":1.10,"n":1.10},'
        b'"x":{"y":[1E+2,100000000000000000000000000000.10,-0]}}}'
    )
    assert business_server_body(event(value), 0) == (
        b'{"id":"e","timestamp":"1970-01-01T00:00:00.000Z","type":"transaction_created","payload":{"transaction":'
        b'{"sep":"24","amount_in":{"amount":"1.10","n":1.10},'
        b'"x":{"y":[1E+2,100000000000000000000000000000.10,-0]}}}}'
    )


def test_text_goes_out_unescaped() -> None:
    body = business_server_body(
        event(b'{"id":"e","type":"customer_updated","customer":{"id":"\\u00e9</b>"}}'), 0
    )
    assert '"é</b>"'.encode() in body


def test_deepest_record_that_is_read_can_be_written() -> None:
    inner = b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2)
    found = event(b'{"id":"e","type":"transaction_created","transaction":{"x":%b}}' % inner)
    assert inner in business_server_body(found, 0)


NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z")
SCALARS = st.none() | st.booleans() | st.text().map(lambda s: json.dumps(s, ensure_ascii=False)) | NUMBERS


def _written(value: Any) -> str:
    if isinstance(value, list):
        return "[" + " , ".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{json.dumps(name)} : {_written(member)}" for name, member in value.items()) + "}"
        )
    return value if isinstance(value, str) else json.dumps(value)


def _read(text: str | bytes) -> Any:
    return json.loads(
        text, parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits)
    )


@settings(max_examples=300)
@given(
    st.recursive(
        SCALARS,
        lambda children: (
            st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
        ),
        max_leaves=15,
    )
)
def test_unknown_members_survive_with_every_digit(value: Any) -> None:
    text = _written(value)
    record = f'{{"id":"e","type":"transaction_created","transaction":{{"unknown" : {text}}}}}'
    found = decode(record.encode("utf-8", "surrogatepass"))
    assert isinstance(found, Event)
    assert _read(business_server_body(found, 0))["payload"]["transaction"]["unknown"] == _read(text)
