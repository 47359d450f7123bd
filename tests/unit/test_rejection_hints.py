"""Answers of common servers to every request of a wrong set-up, and what is said about them."""

from __future__ import annotations

import pytest

from eventproc.acceptance import Standing
from eventproc.outcomes import Failed, Rejected, Response, judge
from eventproc.rejection_hints import detail_of, hint_of
from tests.unit.delivery.test_engine import World

NOW = 1_795_500_000.0


@pytest.mark.parametrize(
    ("excerpt", "word"),
    [
        (b"<center>The plain HTTP request was sent to HTTPS port</center>", "https://"),
        (b"Client sent an HTTP request to an HTTPS server.\n", "https://"),
        (b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />", "https://"),
        (b"Bad Request\r\nThis combination of host and port requires TLS.\r\n", "https://"),
        (b"<center>No required SSL certificate was sent</center>", "client_certificate_path"),
        (b"<title>DisallowedHost\n at /callback</title>", "ALLOWED_HOSTS"),
        (b"<h1>Bad Request (400)</h1><p></p>", "ALLOWED_HOSTS"),
    ],
)
def test_known_answers_are_explained(excerpt: bytes, word: str) -> None:
    assert word in (hint_of(excerpt) or "")
    assert detail_of(400, excerpt).startswith("HTTP 400: ")


def test_others_are_not() -> None:
    assert hint_of(b'{"error": "no such transaction"}') is None
    assert detail_of(422, b"") == "HTTP 422"


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Tue, 24 Nov 2026 09:00:00 GMT", 120.0),
        (None, 3720.0),
        ("nonsense", 3720.0),
        ("Tue, 99 Nov 2026 09:00:00 GMT", 3720.0),
    ],
)
def test_a_retry_after_date_is_measured_against_the_response_s_own(date: str | None, seconds: float) -> None:
    """Our clock is an hour late here."""
    ours = 1_795_507_200.0  # 08:00 UTC
    outcome = judge(Response(503, "Tue, 24 Nov 2026 09:02:00 GMT", b"", date), ours)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_seconds == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_it_leads(status: int) -> None:
    outcome = judge(Response(status, None, b"", None, "https://a.test/new"), NOW)
    assert isinstance(outcome, Failed)
    assert outcome.detail == f"HTTP {status} to https://a.test/new"
    assert isinstance(judge(Response(400, None, b""), NOW), Rejected)


async def test_identical_errors_are_one_line_with_a_count() -> None:
    world = World()
    answer = Response(500, None, b"down")
    world.sender.script = lambda _body, _n: answer
    world.accept(0, "a")
    await world.clock.advance(60)
    attempts = len(world.sent)
    assert attempts > 3
    (error,) = world.engine.stats.last_errors
    assert (error.count, error.event_id) == (attempts, "e0")
    answer = Response(502, None, b"down")
    await world.clock.advance(600)
    first, second = world.engine.stats.last_errors
    assert (first.status, second.status) == (500, 502)
    assert world.engine.standing is Standing.PROVEN
