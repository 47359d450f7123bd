from __future__ import annotations

import pytest

from eventproc.delivery.fetch_pace import fetch_pace


@pytest.mark.parametrize(
    ("partitions", "least_wait_ms", "pace"),
    [
        (0, 20, (0, 20, 20)),
        (500, 20, (0, 20, 20)),
        (501, 20, (20, 50, 20)),
        (1000, 20, (40, 100, 40)),
        (1000, 300, (40, 300, 300)),
        (50_000, 20, (1500, 1500, 1500)),
    ],
)
def test_dear_fetches_are_apart(partitions: int, least_wait_ms: int, pace: tuple[int, int, int]) -> None:
    assert fetch_pace(partitions, least_wait_ms) == pace
