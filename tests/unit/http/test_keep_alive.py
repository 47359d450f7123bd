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
