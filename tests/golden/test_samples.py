"""Real records: our bodies hold every member that the Anchor Platform sends, with the same value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventproc.events import Event, InvalidReason, Unreadable, decode
from eventproc.payloads import Sep, business_server_body, client_body, client_target
from tests.golden.recorded import (
    CONTEXT,
    HERE,
    NOW,
    TIMESTAMP_MS,
    Sample,
    expected_client_body,
    load_samples,
    missing_members,
    take_apart,
)

UNREADABLE = {
    "raw_id_null": InvalidReason.NO_ID,
    "raw_malformed_text": InvalidReason.NOT_JSON,
    "raw_single_quotes_lenient": InvalidReason.NOT_JSON,
    "raw_type_unknown": InvalidReason.UNKNOWN_TYPE,
}
SAMPLES = load_samples()
READABLE = [sample for sample in SAMPLES if sample.name not in UNREADABLE]
FOR_CLIENTS = [sample for sample in READABLE if sample.client or sample.anchor_platform_failed]


def by_name(sample: Sample) -> str:
    return sample.name


def event_of(sample: Sample) -> Event:
    event = decode(sample.value)
    assert isinstance(event, Event), event
    return event


def sep_of(event: Event) -> Sep:
    target = client_target(event)
    assert isinstance(target, Sep), target
    return target


def test_there_are_samples_of_every_sort() -> None:
    assert len(SAMPLES) >= 25
    assert {sample.name for sample in SAMPLES} >= set(UNREADABLE)
    assert {path.stem for path in (HERE / "expected").glob("*.json")} == {s.name for s in FOR_CLIENTS}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_the_platform_skips_has_a_reason_here(name: str) -> None:
    sample = next(sample for sample in SAMPLES if sample.name == name)
    result = decode(sample.value)
    assert isinstance(result, Unreadable)
    assert result.reason is UNREADABLE[name]
    assert sample.business_server is None


@pytest.mark.parametrize("sample", READABLE, ids=by_name)
def test_business_server_gets_all_the_platform_sends(sample: Sample) -> None:
    body = json.loads(business_server_body(event_of(sample), TIMESTAMP_MS))
    assert missing_members(sample.business_server, body) == []
    assert body["timestamp"] == "2026-11-24T10:24:57.123Z"
    assert list(body) == ["id", "timestamp", "type", "payload"]
    assert sample.business_server is not None
    assert set(body["payload"]) == set(sample.business_server["payload"])


# In raw_sep_number a number becomes a string, as the platform does it: the test above has that.
@pytest.mark.parametrize("sample", [s for s in READABLE if s.name != "raw_sep_number"], ids=by_name)
def test_business_server_gets_the_objects_as_received(sample: Sample) -> None:
    record = json.loads(sample.value)
    payload = json.loads(business_server_body(event_of(sample), TIMESTAMP_MS))["payload"]
    for name in {"transaction", "quote"} & set(payload):
        assert payload[name] == record[name]


@pytest.mark.parametrize("sample", [s for s in READABLE if s.client], ids=by_name)
def test_wallet_gets_all_the_platform_sends(sample: Sample) -> None:
    event = event_of(sample)
    sep = sep_of(event)
    body = take_apart(client_body(event, sep, CONTEXT, NOW))
    assert list(sample.client) == [f"sep{sep.value}"]
    assert missing_members(sample.client[f"sep{sep.value}"], body) == []


@pytest.mark.parametrize("sample", FOR_CLIENTS, ids=by_name)
def test_wallet_gets_exactly_the_expected_body(sample: Sample) -> None:
    event = event_of(sample)
    assert take_apart(client_body(event, sep_of(event), CONTEXT, NOW)) == expected_client_body(sample.name)


def test_wallet_gets_no_quotes() -> None:
    sample = next(sample for sample in SAMPLES if sample.name == "quote_created_full")
    assert client_target(event_of(sample)) is None


# What the platform's model has as an instant, a boolean or not at all: no string, so a number stays one.
NO_STRINGS = {
    "started_at",
    "updated_at",
    "completed_at",
    "user_action_required_by",
    "transfer_received_at",
    "created_at",
    "expires_at",
    "requested_at",
    "refunded_at",
    "claimable_balance_id",
    "zzz",
}


def with_sevens(value: Any, seven: object, name: str = "") -> Any:
    """The value with every string that the model has as a string replaced by ``seven``."""
    if isinstance(value, dict):
        return {key: with_sevens(member, seven, key) for key, member in value.items()}
    if isinstance(value, list):
        return [with_sevens(item, seven, name) for item in value]
    return seven if isinstance(value, str) and name not in NO_STRINGS else value


@pytest.mark.parametrize("sample", READABLE, ids=by_name)
def test_a_number_in_place_of_any_string_of_the_model_becomes_that_string(sample: Sample) -> None:
    record = json.loads(sample.value)
    for name in {"transaction", "quote", "customer"} & set(record):
        if record[name] is not None:
            record[name].pop("sep", None)  # a number already in raw_sep_number
            changed = decode(json.dumps({**record, name: with_sevens(record[name], 7)}).encode())
            assert isinstance(changed, Event)
            assert getattr(changed, name) == with_sevens(record[name], "7")
