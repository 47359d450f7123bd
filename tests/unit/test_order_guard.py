"""What the guard remembers, and how much of it."""

from __future__ import annotations

import pytest

from eventproc.identifiers import DestinationId, LaneKey
from eventproc.order_guard import OrderGuard, instant

ONE, OTHER = DestinationId("callback-api"), DestinationId("client.w.sep24")
LANE = LaneKey("t1")
EARLY, LATE = instant("2026-01-05T10:00:00Z"), instant("2026-01-05T10:00:00.000000001Z")


def test_what_is_older_than_what_was_delivered_is_stale_and_the_same_again_is_not() -> None:
    guard = OrderGuard()
    assert not guard.is_stale(ONE, LANE, EARLY)
    guard.delivered(ONE, LANE, LATE)
    guard.delivered(ONE, LANE, EARLY)
    assert guard.is_stale(ONE, LANE, EARLY)
    assert not guard.is_stale(ONE, LANE, LATE)
    assert not guard.is_stale(ONE, LANE, None)


def test_each_destination_has_its_own_progress() -> None:
    guard = OrderGuard()
    guard.delivered(ONE, LANE, LATE)
    assert not guard.is_stale(OTHER, LANE, EARLY)


def test_the_bound_is_for_all_destinations_together_and_the_oldest_go() -> None:
    guard = OrderGuard(remembered_lanes=3)
    for number in range(3):
        guard.delivered(ONE, LaneKey(f"t{number}"), LATE)
    guard.delivered(ONE, LaneKey("t0"), LATE)
    guard.delivered(OTHER, LaneKey("t9"), LATE)
    stale = [number for number in range(3) if guard.is_stale(ONE, LaneKey(f"t{number}"), EARLY)]
    assert stale == [0, 2]
    assert guard.is_stale(OTHER, LaneKey("t9"), EARLY)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000000000"),
        ("2026-01-05T10:00:00.5Z", "2026-01-05T10:00:00.500000000"),
        ("2026-01-05T10:00:00.123456789Z", "2026-01-05T10:00:00.123456789"),
        ("2026-01-05T10:00:00.1234567890Z", None),
        ("2026-01-05 10:00:00", None),
        (None, None),
    ],
)
def test_instants_are_read_as_the_platform_writes_them(text: str | None, read: str | None) -> None:
    assert instant(text) == read
