"""What the receiver kit takes and what it refuses, on signatures that the sender's half makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from stellar_sdk import Keypair

import eventproc.receiver
from eventproc.auth.stellar_signature import StellarSignature
from eventproc.errors import StrkeyError
from eventproc.receiver import (
    CallbackError,
    CallbackVerifier,
    Headers,
    HostMismatchError,
    Reason,
    SeenEvents,
    SignatureFromTheFutureError,
    SignatureTooOldError,
)
from eventproc.receiver.request_headers import by_name, names_of_receiver

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
ACCOUNT: str = Keypair.from_secret(SEED).public_key
OTHER: str = Keypair.random().public_key
HOST = "localhost:18092"
NOW = 1_795_515_897.9
BODY = b'{"transaction":{"id":"1"}}'


def as_message(headers: dict[str, str]) -> Message:
    """What ``http.server`` hands over as ``self.headers``."""
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return parse_headers(BytesIO(text.encode() + b"\r\n"))


def verifier(
    account: str | list[str] = ACCOUNT, host: str | list[str] = HOST, **options: float
) -> CallbackVerifier:
    return CallbackVerifier(account, host, clock=lambda: NOW, **options)


def signature(body: bytes = BODY, host: str = HOST, now: float = NOW) -> str:
    return StellarSignature(SEED, host).headers(body, now)["Signature"]


def reason_of(
    headers: Mapping[str, str], body: bytes = BODY, check: CallbackVerifier | None = None
) -> Reason:
    with pytest.raises(CallbackError) as refused:
        (check or verifier()).verify(headers, body)
    assert refused.value.http_status == 401
    return refused.value.reason


def test_a_callback_comes_back_with_id_time_and_bytes() -> None:
    callback = verifier().verify({"Signature": signature(), "X-Event-Id": "e1"}, BODY)
    assert callback.event_id == "e1"
    assert callback.signed_at == datetime.fromtimestamp(int(NOW), timezone.utc)
    assert callback.payload_bytes == BODY
    assert "transaction" not in repr(callback)


def duplicate_key(event_id: str | None, body: bytes) -> str | None:
    headers = {"Signature": signature(body)} | ({} if event_id is None else {"X-Event-Id": event_id})
    return verifier().verify(headers, body).duplicate_key


def test_the_id_of_another_event_suppresses_nothing() -> None:
    """``X-Event-Id`` is not signed: a recorded callback can be sent with any."""
    seen = SeenEvents()
    seen.add(duplicate_key("e2", b'{"transaction":{"id":"1"}}'))
    assert duplicate_key("e2", b'{"transaction":{"id":"2"}}') not in seen
    assert duplicate_key("e2", b'{"transaction":{"id":"1"}}') in seen
    assert duplicate_key(None, BODY) is None


def test_an_attempt_with_a_new_token_is_the_same_event() -> None:
    body = (
        b'{"transaction": {"more_info_url" : "https://a.example/t?transaction_id=1&token=%s", "status":"%s"}}'
    )
    first, again = duplicate_key("e1", body % (b"x", b"a")), duplicate_key("e1", body % (b"y", b"a"))
    assert first == again
    assert first != duplicate_key("e1", body % (b"x", b"b"))
    assert first != duplicate_key("e2", body % (b"x", b"a")), "a return to an earlier state is an event"


@pytest.mark.parametrize(
    "headers",
    [
        {"signature": signature(), "x-event-id": "e1"},
        CIMultiDict({"SIGNATURE": signature(), "X-Event-ID": "e1"}),
        [(b"signature", signature().encode()), (b"x-event-id", b"e1")],
        [("Signature", signature()), ("X-Event-Id", "e1")],
        {"X-Stellar-Signature": signature(), "X-Event-Id": "e1"},
        {
            "REQUEST_METHOD": "POST",
            "HTTP_SIGNATURE": signature(),
            "HTTP_X_EVENT_ID": "e1",
            "wsgi.input": BytesIO(),
        },
        as_message({"Signature": signature(), "X-Event-Id": "e1"}),
        as_message({"signature": signature(), "x-event-id": "e1"}).items(),
        {"Signature": f" {signature()} ".replace(", ", ","), "X-Event-Id": "e1"},
    ],
)
def test_headers_may_come_in_any_frameworks_form(
    headers: Headers,
) -> None:
    assert verifier().verify(headers, BODY).event_id == "e1"


@pytest.mark.parametrize(
    "headers", ["Signature: x", ["Signature: x"], [("a", "b", "c")], [b"Signature"], [1]]
)
def test_what_is_no_headers_object_is_refused_by_name(headers: Any) -> None:
    with pytest.raises(TypeError, match=f"headers is {type(headers).__name__}: pass your framework's"):
        verifier().verify(headers, BODY)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "tunnel.example"),
        ("X-Forwarded-Host", "tunnel.example"),
        ("X-Forwarded-Host", "inner.example, tunnel.example"),
        ("X-Original-Host", "tunnel.example"),
        ("Forwarded", "for=192.0.2.1;host=tunnel.example;proto=https"),
        ("Forwarded", 'for="[2001:db8::1]", for=192.0.2.1; Host="tunnel.example"'),
    ],
)
def test_a_name_of_the_request_is_told_and_never_believed(header: str, value: str) -> None:
    """Else a callback to another wallet could be played to this one with that header."""
    headers = {"Host": HOST, "Signature": signature(host="tunnel.example"), header: value}
    with pytest.raises(
        HostMismatchError, match=r"signed for the host tunnel\.example, expected localhost:18092"
    ):
        verifier().verify(headers, BODY)


def test_a_port_of_its_own_header_belongs_to_the_forwarded_host() -> None:
    names = names_of_receiver(by_name({"X-Forwarded-Host": "a.example", "X-Forwarded-Port": "8443"}))
    assert names == {
        "a.example": "X-Forwarded-Host",
        "a.example:8443": "X-Forwarded-Host and X-Forwarded-Port",
    }


def test_only_a_few_names_are_tried() -> None:
    many = ", ".join(f"{number}.example" for number in range(1000))
    assert len(names_of_receiver({"host": "a", "x-forwarded-host": many, "forwarded": "host=a;" * 1000})) == 8


def test_the_deprecated_header_cannot_stand_in_for_a_wrong_one() -> None:
    headers = {"Signature": signature(body=b"{}"), "X-Stellar-Signature": signature()}
    assert reason_of(headers) is Reason.WRONG_SIGNATURE


def test_a_header_that_comes_twice_is_none() -> None:
    with pytest.raises(CallbackError) as refused:
        verifier().verify([("Signature", signature()), ("Signature", signature(b"x"))], BODY)
    assert refused.value.reason is Reason.MALFORMED_HEADER


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (signature(body=b"{ }"), Reason.WRONG_SIGNATURE),
        (signature(host="example.com"), Reason.WRONG_SIGNATURE),
        (signature(host="localhost"), Reason.HOST_MISMATCH),
        (signature(now=NOW - 1).replace(str(int(NOW - 1)), str(int(NOW))), Reason.WRONG_SIGNATURE),
        (signature(now=NOW - 61), Reason.TOO_OLD),
        (signature(now=NOW + 62), Reason.IN_THE_FUTURE),
        ("", Reason.MALFORMED_HEADER),
        ("t=1", Reason.MALFORMED_HEADER),
        ("t=x, s=" + signature().partition("s=")[2], Reason.MALFORMED_HEADER),
        ("t=٣, s=" + signature().partition("s=")[2], Reason.MALFORMED_HEADER),
        (signature()[:-1], Reason.MALFORMED_HEADER),
        (signature() + "x", Reason.MALFORMED_HEADER),
        ("t=" + "9" * 5000 + ", s=" + signature().partition("s=")[2], Reason.MALFORMED_HEADER),
        ("t=" + "9" * 11 + ", s=" + signature().partition("s=")[2], Reason.IN_THE_FUTURE),
    ],
)
def test_a_wrong_callback_is_refused_with_the_reason(value: str, reason: Reason) -> None:
    assert reason_of({"Signature": value}) is reason


def test_a_callback_without_a_signature_is_refused() -> None:
    assert reason_of({"X-Event-Id": "e1"}) is Reason.MISSING_HEADER


def test_how_old_and_for_which_host_is_told() -> None:
    with pytest.raises(SignatureTooOldError) as old:
        verifier().verify({"Signature": signature(now=NOW - 100)}, BODY)
    assert 99 < old.value.age_seconds < 102
    with pytest.raises(SignatureFromTheFutureError) as ahead:
        verifier().verify({"Signature": signature(now=NOW + 100)}, BODY)
    assert -102 < ahead.value.age_seconds < -98
    with pytest.raises(HostMismatchError) as elsewhere:
        verifier().verify(
            {"Signature": signature(host="tunnel.example.com"), "Host": "tunnel.example.com"}, BODY
        )
    assert elsewhere.value.signed_host == "tunnel.example.com"


def test_the_requests_own_host_makes_nothing_right() -> None:
    headers = {"Signature": signature(host="evil.example.com"), "Host": "evil.example.com"}
    assert reason_of(headers) is Reason.HOST_MISMATCH


def test_while_a_key_changes_both_are_taken_and_no_third() -> None:
    assert verifier([OTHER, ACCOUNT]).verify({"Signature": signature()}, BODY)
    assert reason_of({"Signature": signature()}, check=verifier(OTHER)) is Reason.WRONG_SIGNATURE


def test_several_hosts_are_taken() -> None:
    check = verifier(host=["a.example.com", "b.example.com:8443"])
    assert check.verify({"Signature": signature(host="b.example.com:8443")}, BODY)
    assert reason_of({"Signature": signature(host="c.example.com")}, check=check) is Reason.WRONG_SIGNATURE


def test_the_age_allowed_is_the_receivers_choice() -> None:
    assert verifier(tolerance_seconds=300).verify({"Signature": signature(now=NOW - 200)}, BODY)


def test_a_body_of_text_is_a_programmers_mistake() -> None:
    with pytest.raises(TypeError, match="as it came"):
        verifier().verify({"Signature": signature()}, BODY.decode())  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["https://wallet.example.com", "wallet.example.com/cb", "", []])
def test_a_host_that_is_none_is_refused_at_once(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        verifier(host=host)


def test_keys_that_are_none_are_refused_at_once() -> None:
    with pytest.raises(StrkeyError):
        verifier(ACCOUNT[:-1])
    with pytest.raises(StrkeyError) as seed:
        verifier(SEED)
    assert SEED not in str(seed.value)
    with pytest.raises(ValueError, match="signing_key"):
        verifier([])


@given(st.text(max_size=120), st.binary(max_size=50))
def test_no_request_raises_anything_else(value: str, body: bytes) -> None:
    with pytest.raises(CallbackError):
        verifier().verify({"Signature": value, "Host": value}, body)


def test_the_kit_needs_cryptography_alone() -> None:
    """A wallet's process must not load a stream processor."""
    code = (
        "import sys; before = set(sys.modules); import eventproc.receiver, eventproc.receiver.diagnose\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    assert loaded == {"cryptography", "eventproc"}


def test_exported_names() -> None:
    assert eventproc.receiver.__all__ == [
        "CallbackError",
        "CallbackVerifier",
        "Headers",
        "HostMismatchError",
        "MalformedSignatureError",
        "MissingSignatureError",
        "Reason",
        "SeenEvents",
        "SignatureFromTheFutureError",
        "SignatureTooOldError",
        "VerifiedCallback",
        "WrongSignatureError",
    ]
    assert {reason.value for reason in Reason} == {
        "missing_header",
        "malformed_header",
        "too_old",
        "in_the_future",
        "host_mismatch",
        "wrong_signature",
    }
