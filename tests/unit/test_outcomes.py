"""Step 8: every status and every failure has exactly one meaning."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.backoff import RetryPolicy
from eventproc.outcomes import (
    REJECTING_STATUSES,
    Delivered,
    Failed,
    FailureKind,
    NoResponse,
    Rejected,
    Response,
    judge,
    retry_after_seconds,
)

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=timezone.utc).timestamp()


@given(st.integers(100, 999))
def test_every_status_is_judged(code: int) -> None:
    outcome = judge(Response(code, None, b""), NOW)
    if 200 <= code < 300:
        assert isinstance(outcome, Delivered)
    elif code in REJECTING_STATUSES:
        assert isinstance(outcome, Rejected)
    else:
        assert isinstance(outcome, Failed)


@pytest.mark.parametrize("code", [400, 410, 413, 422])
def test_the_endpoint_does_not_want_this_event(code: int) -> None:
    assert isinstance(judge(Response(code, None, b"why"), NOW), Rejected)


@pytest.mark.parametrize("code", [401, 403, 404, 408, 429, 500, 502, 503, 504])
def test_the_endpoint_is_down_for_everything(code: int) -> None:
    assert isinstance(judge(Response(code, None, b""), NOW), Failed)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_no_success(code: int) -> None:
    """The Anchor Platform takes 3xx for success and follows it with the signature."""
    outcome = judge(Response(code, None, b""), NOW)
    assert isinstance(outcome, Failed)
    assert outcome.kind is FailureKind.REDIRECT


def test_no_response_keeps_its_reason() -> None:
    outcome = judge(NoResponse(FailureKind.TLS, "bad certificate"), NOW)
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.detail) == (FailureKind.TLS, "bad certificate")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Tue, 24 Nov 2026 10:01:00 GMT", 60.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_can_break_it(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0


def test_backoff_doubles_up_to_its_bound_and_draws_from_zero() -> None:
    policy = RetryPolicy(initial_seconds=1, max_seconds=300)
    assert [policy.delay_seconds(n, 1.0) for n in (1, 2, 3, 9, 10, 5000)] == [1, 2, 4, 256, 300, 300]
    assert policy.delay_seconds(5, 0.0) == 0


def test_retry_after_is_honoured_up_to_a_bound() -> None:
    policy = RetryPolicy(retry_after_max_seconds=60)
    assert policy.delay_seconds(1, 0.5, retry_after_seconds=30) == 30
    assert policy.delay_seconds(1, 0.5, retry_after_seconds=10**9) == 60
    assert policy.delay_seconds(4, 1.0, retry_after_seconds=1) == 8
