from __future__ import annotations

import pytest

from eventproc.http.keep_alive import LONGEST_SECONDS, REMEMBERED_SECONDS, KeepAlive


@pytest.mark.parametrize(
    ("closed_after", "kept"), [(5.0, 4.0), (2.0, 1.0), (0.0, 1.0), (10.0, 8.0), (75.0, LONGEST_SECONDS)]
)
def test_a_connection_is_given_up_before_the_receiver_closes_it(closed_after: float, kept: float) -> None:
    keep_alive = KeepAlive(lambda: 0.0)
    assert keep_alive.seconds == LONGEST_SECONDS
    keep_alive.closed_by_receiver(closed_after)
    assert keep_alive.seconds == pytest.approx(kept)


def test_the_shortest_counts_and_is_forgotten_after_a_while() -> None:
    now = [100.0]
    keep_alive = KeepAlive(lambda: now[0])
    keep_alive.closed_by_receiver(5.0)
    keep_alive.closed_by_receiver(10.0)
    assert keep_alive.seconds == pytest.approx(4.0)
    now[0] += REMEMBERED_SECONDS
    assert keep_alive.seconds == LONGEST_SECONDS
    keep_alive.closed_by_receiver(10.0)
    assert keep_alive.seconds == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"timeout=5, max=100", 4.0),
        (b"timeout=75", LONGEST_SECONDS),
        (b"max=100, Timeout = 10", 8.0),
        (b'timeout="5"', 4.0),
        (b"timeout=1", 0.0),
        (b"timeout=0", 0.0),
        (b"timeout=-1", LONGEST_SECONDS),
        (b"timeout=999999999999999999999", LONGEST_SECONDS),
        (b"xtimeout=5", LONGEST_SECONDS),
        (b"", LONGEST_SECONDS),
    ],
)
def test_a_receiver_is_taken_at_what_it_says(header: bytes, kept: float) -> None:
    keep_alive = KeepAlive(lambda: 0.0)
    keep_alive.announced(header)
    assert keep_alive.seconds == pytest.approx(kept)


def test_what_was_seen_counts_before_what_was_said() -> None:
    keep_alive = KeepAlive(lambda: 0.0)
    keep_alive.announced(b"timeout=20")
    keep_alive.closed_by_receiver(5.0)
    assert keep_alive.seconds == pytest.approx(4.0)


def test_no_connection_of_a_receiver_that_sends_more_than_its_responses_is_used_again_for_a_while() -> None:
    now = [100.0]
    keep_alive = KeepAlive(lambda: now[0])
    keep_alive.sent_surplus()
    assert keep_alive.seconds == 0
    now[0] += REMEMBERED_SECONDS
    assert keep_alive.seconds == LONGEST_SECONDS
