from __future__ import annotations

import threading

import pytest

from eventproc.receiver import SeenEvents


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_event_is_a_duplicate_only_after_it_was_taken() -> None:
    seen = SeenEvents()
    assert "a" not in seen
    assert "a" not in seen
    seen.add("a")
    assert "a" in seen


def test_an_event_without_an_id_is_never_a_duplicate() -> None:
    seen = SeenEvents()
    seen.add(None)
    assert None not in seen
    assert len(seen) == 0


def test_the_least_recently_used_goes_first() -> None:
    seen = SeenEvents(capacity=2)
    seen.add("a")
    seen.add("b")
    assert "a" in seen
    seen.add("c")
    assert "a" in seen
    assert "b" not in seen
    assert len(seen) == 2


def test_an_id_is_forgotten_some_time_after_its_last_use() -> None:
    clock = Clock()
    seen = SeenEvents(ttl_seconds=10, clock=clock)
    seen.add("a")
    clock.now += 9
    assert "a" in seen
    clock.now += 9
    assert "a" in seen
    clock.now += 10
    assert "a" not in seen
    assert len(seen) == 0


def test_threads_may_share_it() -> None:
    seen = SeenEvents(capacity=50)

    def work(name: int) -> None:
        for number in range(2000):
            seen.add(f"{name}-{number}")
            assert f"{name}-{number - 1}" in seen or number == 0 or len(seen) == 50

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(seen) == 50


@pytest.mark.parametrize(("capacity", "ttl_seconds"), [(0, 1.0), (1, 0.0)])
def test_a_memory_that_remembers_nothing_is_refused(capacity: int, ttl_seconds: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        SeenEvents(capacity, ttl_seconds)
