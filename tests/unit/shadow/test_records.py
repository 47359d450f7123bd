from __future__ import annotations

from datetime import datetime, timezone

import pytest

from eventproc.identifiers import DestinationId
from eventproc.shadow.records import MASK, read_shadow_record, shadow_record
from eventproc.shadow.request import SentRequest

AT = datetime(2026, 11, 25, 10, tzinfo=timezone.utc)
REQUEST = SentRequest(
    "https://w.example.com/cb?x=1",
    '{"transaction": {"message": "é"}}'.encode(),
    {"Content-Type": "application/json", "Signature": "t=1, s=abc", "X-Event-Id": "e1"},
    DestinationId("client.acme.sep24"),
    AT,
)


def test_a_request_comes_back_as_it_was_written() -> None:
    key, value, headers = shadow_record(REQUEST, AT)

    assert key == b"client.acme.sep24"
    assert value == REQUEST.body
    assert read_shadow_record(headers, value) == REQUEST


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer a.b.c", f"Bearer {MASK}"),
        ("Authorization", "a-secret", MASK),
        ("Authorization", "a secret", MASK),
        ("X-Api-Key", "a-secret", MASK),
        ("X-Anything-Else", "a-secret", MASK),
        ("x-event-id", "e1", "e1"),
        ("X-Stellar-Signature", "t=1, s=abc", "t=1, s=abc"),
    ],
)
def test_only_headers_known_to_be_harmless_are_written(name: str, value: str, shown: str) -> None:
    _, _, headers = shadow_record(SentRequest("http://b/event", b"{}", {name: value}), AT)

    assert dict(headers)[f"http-header.{name}"] == shown.encode()


def test_a_record_of_somebody_else_is_none() -> None:
    assert read_shadow_record([("event-id", b"e1")], b"{}") is None
