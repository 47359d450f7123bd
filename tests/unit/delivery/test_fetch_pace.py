from __future__ import annotations

import pytest

from eventproc.delivery.fetch_pace import fetch_pace


@pytest.mark.parametrize(
    ("partitions", "least_wait_ms", "pace"),
    [
        (0, 20, (20, 1)),
        (500, 20, (20, 1)),
        (501, 20, (20, 513_024)),
        (1000, 20, (40, 1_024_000)),
        (1000, 300, (300, 1_024_000)),
        (50_000, 20, (1500, 51_200_000)),
    ],
)
def test_a_dear_fetch_waits_for_more(partitions: int, least_wait_ms: int, pace: tuple[int, int]) -> None:
    assert fetch_pace(partitions, least_wait_ms) == pace
