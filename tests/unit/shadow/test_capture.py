from __future__ import annotations

import base64
import json
from datetime import datetime, timezone

import pytest

from eventproc.identifiers import DestinationId
from eventproc.shadow.capture import CaptureError, read_capture
from eventproc.shadow.request import SentRequest

BODY = '{"a": "é"}'
AT = datetime(2026, 11, 25, 10, 0, 0, 123000, tzinfo=timezone.utc)


def test_what_export_prints_is_read_back() -> None:
    requests = [
        SentRequest(
            "https://w/cb", BODY.encode(), {"Signature": "t=1, s=x"}, DestinationId("client.a.sep6"), AT
        ),
        SentRequest("https://w/cb", b"\xff\x00", {}, DestinationId("client.a.sep6"), AT),
    ]
    text = "\n".join(json.dumps(one.to_json()) for one in requests)

    assert read_capture(text, "f") == requests
    assert read_capture(f"[{text.replace(chr(10), ',')}]", "f") == requests


def test_what_listen_prints_is_read() -> None:
    lines = [
        {"listening": "http://127.0.0.1:8080/"},
        {
            "number": 1,
            "at": "2026-11-25T10:00:00.123Z",
            "method": "POST",
            "path": "/sep24",
            "event_id": None,
            "right": False,
            "answered": 401,
            "findings": [],
            "body": BODY,
        },
        {"summary": {"right": 0}},
    ]

    assert read_capture("\n".join(map(json.dumps, lines)) + "\n", "f") == [
        SentRequest("/sep24", BODY.encode(), at=AT, is_right=False)
    ]


def test_the_posts_of_a_har_file_are_read() -> None:
    def entry(method: str, posted: object) -> object:
        headers = [{"name": "Signature", "value": "t=1, s=x"}, {"name": ":authority", "value": "w"}]
        request = {"method": method, "url": "https://w/cb", "headers": headers, "postData": posted}
        return {"startedDateTime": "2026-11-25T11:00:00.123+01:00", "request": request}

    encoded = {"encoding": "base64", "text": base64.b64encode(BODY.encode()).decode()}
    har = {"log": {"entries": [entry("POST", {"text": BODY}), entry("GET", None), entry("POST", encoded)]}}

    wanted = SentRequest("https://w/cb", BODY.encode(), {"Signature": "t=1, s=x"}, at=AT)
    assert read_capture(json.dumps(har), "f") == [wanted, wanted]


def test_headers_may_be_pairs_and_a_body_base64() -> None:
    line = {"url": "http://b/event", "headers": [["A", "1"]], "body_base64": base64.b64encode(b"x").decode()}

    assert read_capture(json.dumps(line), "f") == [SentRequest("http://b/event", b"x", {"A": "1"})]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"url": "u", "body": "x"}\nnot json', "line 2"),
        ('{"body": "x"}\n{}', "line 1"),
        ('{"url": "u", "body": {"an": "object"}}\n{}', "line 1"),
        ('{"url": "u", "body_base64": "***"}\n{}', "line 1"),
        ('[{"url": "u"}]', "element 1"),
        ('{"log": {"entries": [{}]}}', "entry 1"),
        ('{"log": {}}', "without entries"),
        ("5\n6", "line 1"),
        ("[" * 100_000, "line 1"),
    ],
)
def test_what_is_no_capture_says_where_and_what_would_be_one(text: str, where: str) -> None:
    with pytest.raises(CaptureError, match=where) as caught:
        read_capture(text, "f")
    assert "HAR" in str(caught.value)
