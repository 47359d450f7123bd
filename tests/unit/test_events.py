"""Decoding: every odd record has its fate, digits survive, nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventproc import events
from eventproc.events import MAX_DEPTH, Event, EventType, InvalidReason, Number, Unreadable, decode

PLAIN = {"type": "transaction_created", "id": "e-1", "sep": "24", "transaction": {"id": "t-1", "sep": "24"}}


def record(**members: Any) -> bytes:
    return json.dumps({**PLAIN, **members}).encode()


def event(value: bytes) -> Event:
    result = decode(value)
    assert isinstance(result, Event), result
    return result


def transaction(value: bytes) -> dict[str, Any]:
    found = event(value).transaction
    assert found is not None
    return found


def nested(levels: int) -> bytes:
    """A plain event whose unknown member brings the whole to this many levels."""
    return record()[:-1] + b',"x":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, InvalidReason.EMPTY),
        (b"", InvalidReason.EMPTY),
        (b"null", InvalidReason.NULL),
        (b" null\n", InvalidReason.NULL),
        (b" ", InvalidReason.NOT_JSON),
        (b"this is not json", InvalidReason.NOT_JSON),
        (b"{type:'transaction_created',id:'1'}", InvalidReason.NOT_JSON),
        (record() + b" trailing", InvalidReason.NOT_JSON),
        (record() + record(), InvalidReason.NOT_JSON),
        (record()[:-1], InvalidReason.NOT_JSON),
        (b"\xef\xbb\xbf" + record(), InvalidReason.NOT_JSON),
        (record(x="\x00").replace(b"\\u0000", b"\x00"), InvalidReason.NOT_JSON),
        (record(x="?").replace(b"?", b"\xff"), InvalidReason.NOT_JSON),
        (record(x="?").replace(b"?", b"\xed\xa0\x80"), InvalidReason.NOT_JSON),
        (record(x=float("nan")), InvalidReason.NOT_JSON),
        (record(x=float("inf")), InvalidReason.NOT_JSON),
        (record(x=float("-inf")), InvalidReason.NOT_JSON),
        (record().replace(b'"t-1"', b"01"), InvalidReason.NOT_JSON),
        (b"[" * 100_000, InvalidReason.TOO_DEEP),
        (b'{"a":' * 100_000, InvalidReason.TOO_DEEP),
        (nested(MAX_DEPTH + 1), InvalidReason.TOO_DEEP),
        (b"[]", InvalidReason.NOT_AN_OBJECT),
        (b"[1.5]", InvalidReason.NOT_AN_OBJECT),
        (b'"text"', InvalidReason.NOT_AN_OBJECT),
        (b"7", InvalidReason.NOT_AN_OBJECT),
        (b"true", InvalidReason.NOT_AN_OBJECT),
        (b"{}", InvalidReason.NO_ID),
        (record(id=None), InvalidReason.NO_ID),
        (record(id=""), InvalidReason.NO_ID),
        (record(id=True), InvalidReason.NO_ID),
        (record(id={"id": "x"}), InvalidReason.NO_ID),
        (record(id=["x"]), InvalidReason.NO_ID),
        (record(type=None), InvalidReason.NO_TYPE),
        (b'{"id":"e-1"}', InvalidReason.NO_TYPE),
        (record(type=""), InvalidReason.UNKNOWN_TYPE),
        (record(type="foo_bar"), InvalidReason.UNKNOWN_TYPE),
        (record(type="Transaction_Created"), InvalidReason.UNKNOWN_TYPE),
        (record(type=1), InvalidReason.UNKNOWN_TYPE),
        (record(type=["transaction_created"]), InvalidReason.UNKNOWN_TYPE),
        (record(transaction="t-1"), InvalidReason.MEMBER_NOT_AN_OBJECT),
        (record(transaction=[]), InvalidReason.MEMBER_NOT_AN_OBJECT),
        (record(transaction=1), InvalidReason.MEMBER_NOT_AN_OBJECT),
        (record(transaction=False), InvalidReason.MEMBER_NOT_AN_OBJECT),
        (record(quote="q"), InvalidReason.MEMBER_NOT_AN_OBJECT),
        (record(customer=["c"]), InvalidReason.MEMBER_NOT_AN_OBJECT),
    ],
)
def test_what_is_no_event_has_a_reason(value: bytes | None, reason: InvalidReason) -> None:
    result = decode(value)
    assert isinstance(result, Unreadable)
    assert result.reason is reason
    assert result.detail


def test_reasons_are_pinned_as_they_stand_in_a_header() -> None:
    assert [reason.value for reason in InvalidReason] == [
        "empty",
        "null",
        "not-json",
        "too-deep",
        "not-an-object",
        "no-id",
        "no-type",
        "unknown-type",
        "member-not-an-object",
    ]


def test_detail_shows_an_unknown_type_but_not_all_of_it() -> None:
    result = decode(record(type="x" * 500))
    assert isinstance(result, Unreadable)
    assert "x" * 64 in result.detail
    assert "x" * 65 not in result.detail


@pytest.mark.parametrize(
    "value",
    [
        b'"SECRET',
        b'{"id":"SECRET","type":SECRET}',
        b'{"SECRET":"\\q"}',
        b'"SECRET"',
        record(id=["SECRET"]),
        record(transaction="SECRET"),
        record(type={"SECRET": "SECRET"}),
        b'{"SECRET":"\xff"}',
        b'{"SECRET":NaN}',
    ],
)
def test_detail_never_shows_content(value: bytes) -> None:
    result = decode(value)
    assert isinstance(result, Unreadable)
    assert "SECRET" not in result.detail


@pytest.mark.parametrize("kind", list(EventType))
def test_type_is_accepted_in_lower_and_in_upper_case(kind: EventType) -> None:
    assert event(record(type=kind.value)).type is kind
    assert event(record(type=kind.value.upper())).type is kind


def test_value_is_kept_untouched() -> None:
    value = b'  {"id":"e-1", "type":"quote_created","quote":{"a":1.10}}\n'
    assert event(value).raw == value


@pytest.mark.parametrize("name", ["transaction", "quote", "customer"])
def test_explicit_null_is_absent(name: str) -> None:
    assert getattr(event(record(**{name: None})), name) is None
    assert getattr(event(record(**{name: {}})), name) == {}


@pytest.mark.parametrize(
    ("members", "sep"),
    [
        ({"sep": "24", "transaction": {"sep": "6"}}, "6"),
        ({"sep": "24", "transaction": {"sep": None}}, "24"),
        ({"sep": "24", "transaction": {"sep": ""}}, "24"),
        ({"sep": "24", "transaction": {"sep": []}}, "24"),
        ({"sep": 24, "transaction": None}, "24"),
        ({"sep": "38", "transaction": {"sep": 31}}, "31"),
        ({"sep": None, "transaction": {}}, None),
        ({"sep": "", "transaction": {}}, None),
        ({"sep": {}, "transaction": {}}, None),
        ({"sep": "99", "transaction": {}}, "99"),
    ],
)
def test_sep_is_the_transactions_own_and_else_the_events(members: dict[str, Any], sep: str | None) -> None:
    assert event(record(**members)).sep == sep


def test_last_of_duplicate_keys_wins() -> None:
    assert event(b'{"id":"a","type":"foo","type":"quote_created","id":"b"}').id == "b"
    assert event(b'{"id":"a","type":"quote_created","id":7}').id == "7"
    assert transaction(record().replace(b'"id": "t-1"', b'"id":"t-1","id":"t-2"'))["id"] == "t-2"


@pytest.mark.parametrize(
    "digits", ["7", "-7", "1.10", "1E+2", "1e-7", "0.0", "-0", "9" * 40, "0." + "1" * 40, "9" * 5000]
)
def test_number_where_a_string_belongs_becomes_its_own_digits(digits: str) -> None:
    written = digits.encode()
    value = (
        b'{"type":"transaction_created","id":%b,"transaction":{"id":%b,"sep":%b,"amount_in":{"amount":%b},'
        b'"fee_details":{"details":[{"amount":%b}]},"required_info_updates":[%b],'
        b'"instructions":{"any.name":{"value":%b}},"x":%b,"y":[{"z":%b}]},"quote":{"price":%b}}'
    ) % ((written,) * 10)
    found = event(value)
    assert found.id == digits
    assert found.sep == digits
    assert found.lane_key == digits
    assert found.quote == {"price": digits}
    assert found.transaction == {
        "id": digits,
        "sep": digits,
        "amount_in": {"amount": digits},
        "fee_details": {"details": [{"amount": digits}]},
        "required_info_updates": [digits],
        "instructions": {"any.name": {"value": digits}},
        "x": Number(digits),
        "y": [{"z": Number(digits)}],
    }


def test_numbers_in_requested_fields_become_their_own_digits() -> None:
    asked = {"transaction": {"a.b": {"description": 7, "choices": [1.10], "optional": True, "x": 5}}}
    found = transaction(record(transaction={"id": "t", "required_info_updates": asked, "fields": asked}))
    read = {
        "transaction": {"a.b": {"description": "7", "choices": ["1.1"], "optional": True, "x": Number("5")}}
    }
    assert found == {"id": "t", "required_info_updates": read, "fields": read}


def test_instants_stay_as_received() -> None:
    value = record(transaction={"id": "t", "started_at": "not a time", "updated_at": 17})
    assert transaction(value) == {"id": "t", "started_at": "not a time", "updated_at": Number("17")}


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_kept() -> None:
    value = rb'{"type":"transaction_created","id":"\ud800x","transaction":{"\udfff":"\ud83d\ude80\ud83d","id":"\u0000"}}'
    assert event(value).id == "\ufffdx"
    assert transaction(value) == {"\ufffd": "\N{ROCKET}\ufffd", "id": "\u0000"}


def test_nesting_up_to_the_bound_is_read() -> None:
    assert event(nested(MAX_DEPTH)).id == "e-1"


def test_wide_records_are_not_taken_for_deep_ones() -> None:
    wide = [{"id": "x"}] * (3 * MAX_DEPTH)
    assert transaction(record(transaction={"id": "t", "payments": wide}))["payments"] == wide


@pytest.mark.parametrize(
    ("members", "lane"),
    [
        ({"transaction": {"id": "t"}, "customer": {"id": "c"}, "quote": {"id": "q"}}, "t"),
        ({"transaction": None, "customer": {"id": "c"}, "quote": {"id": "q"}}, "c"),
        ({"transaction": None, "quote": {"id": "q"}}, "q"),
        ({"transaction": {}}, "e-1"),
        ({"transaction": {"id": ""}}, "e-1"),
        ({"transaction": {"id": ["t"]}}, "e-1"),
        ({"transaction": {"id": 12}}, "12"),
        ({"transaction": None}, "e-1"),
    ],
)
def test_lane_is_what_the_event_is_about(members: dict[str, Any], lane: str) -> None:
    assert event(record(**members)).lane_key == lane


def test_public_names_are_pinned() -> None:
    own = {
        n
        for n, v in vars(events).items()
        if not n.startswith("_") and getattr(v, "__module__", "") == events.__name__
    }
    assert own == {"Attribution", "Event", "EventType", "InvalidReason", "Number", "Unreadable", "decode"}


@settings(max_examples=300)
@given(st.binary(max_size=200))
@example(b'{"id":"\\ud800","type":"\\udc00"}')
def test_no_bytes_make_it_raise(value: bytes) -> None:
    assert isinstance(
        decode(value), Unreadable
    )  # random bytes that are an event by chance: not in this universe


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["id", "type", "sep", "transaction", "quote", "customer", "status", "amount_in"])


@settings(max_examples=300)
@given(st.dictionaries(NAMES, JSON), st.booleans())
def test_no_json_makes_it_raise_and_an_event_is_always_whole(
    members: dict[str, Any], ascii_only: bool
) -> None:
    text = json.dumps({"id": "e", "type": "quote_created", **members}, ensure_ascii=ascii_only)
    result = decode(text.encode("utf-8", "surrogatepass"))
    if isinstance(result, Unreadable):
        assert result.reason is not InvalidReason.EMPTY
        return
    assert result.id.encode()
    assert result.lane_key.encode()
    for subject in (result.transaction, result.quote, result.customer):
        assert subject is None or isinstance(subject, dict)
