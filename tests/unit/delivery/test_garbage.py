"""Cycles are still found, and what was there before is not walked."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from eventproc.delivery.garbage import YOUNG_OBJECTS, settle


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.other: Node = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_lives_long_is_set_aside_once() -> None:
    settle()
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    _later = [[] for _ in range(100)]  # type: ignore[var-annotated]
    settle()
    assert gc.get_freeze_count() == frozen


def test_a_cycle_that_comes_later_is_found_by_itself() -> None:
    settle()
    lost = weakref.ref(Node())
    assert lost() is not None
    kept = [[] for _ in range(YOUNG_OBJECTS + 1000)]  # type: ignore[var-annotated]
    assert lost() is None
    assert len(kept) > YOUNG_OBJECTS
