from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.times import from_ms, iso, read_time, span, to_ms

NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T10:00:00Z", datetime(2026, 11, 24, 10, tzinfo=timezone.utc)),
        ("2026-11-24T10:00:00.500+02:00", datetime(2026, 11, 24, 8, 0, 0, 500_000, tzinfo=timezone.utc)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=timezone.utc)),
        ("1795500000000", datetime(2026, 11, 24, 6, tzinfo=timezone.utc)),
        ("9" * 30, None),
        ("yesterday", None),
        ("2h", None),
        ("", None),
    ],
)
def test_times_are_read_as_the_headers_have_them(text: str, expected: datetime | None) -> None:
    assert read_time(text) == expected


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
        ("0s", timedelta()),
    ],
)
def test_how_long_ago_it_was(text: str, ago: timedelta) -> None:
    assert read_time(text, NOW) == NOW - ago


@pytest.mark.parametrize("text", ["h", "2 h", "-2h", "2y", "1.5h", "999999999w", "2h3m"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time(text, NOW) is None


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_survive_both_ways(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds
    assert read_time(iso(from_ms(milliseconds))) == from_ms(milliseconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59, "59s"), (725, "12m 5s"), (7200, "2h"), (7261, "2h 1m"), (273_700, "3d 4h")],
)
def test_spans_in_their_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text
