"""The worker process ends within its bound."""

from __future__ import annotations

import threading

import pytest

from eventproc.delivery import faust_worker
from eventproc.delivery.faust_worker import Worker


def test_a_stop_that_hangs_is_ended_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    has_ended = threading.Event()

    def note(code: int) -> None:
        ended.append(code)
        has_ended.set()

    monkeypatch.setattr("os._exit", note)
    worker = Worker.__new__(Worker)
    worker.shutdown_seconds = 0.01 - faust_worker.SHUTDOWN_GRACE_SECONDS
    worker.arm_watchdog()
    worker.arm_watchdog()
    assert has_ended.wait(30)
    assert ended == [faust_worker.FORCED_EXIT_CODE]
