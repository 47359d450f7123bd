"""What becomes of a library that repeats itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

import aiokafka.consumer.fetcher
import pytest

from eventproc.logs import MOST_REMEMBERED, REPEATS, Repeats, configure_logging


def say(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    def told(level: int, text: str, *args: object) -> list[str]:
        caplog.clear()
        log.log(level, text, *args)
        return [record.getMessage() for record in caplog.records]

    return told


def test_the_same_trouble_is_told_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    log = logging.getLogger("tests.repeats")
    log.addFilter(Repeats(lambda: now[0]))
    told = say(log, caplog)
    assert told(logging.ERROR, "node %s is away: 100%%", 1) == ["node 1 is away: 100%"]
    assert told(logging.ERROR, "node %s is away: 100%%", 2) == ["node 2 is away: 100%"], "another trouble"
    for _ in range(3):
        now[0] += 3
        assert told(logging.ERROR, "node %s is away: 100%%", 1) == []
    now[0] += 1.1
    assert told(logging.ERROR, "node %s is away: 100%%", 1) == ["node 1 is away: 100%"]


def test_what_is_no_trouble_is_always_told(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("tests.repeats.info")
    log.addFilter(Repeats())
    caplog.set_level(logging.INFO)
    told = say(log, caplog)
    for _ in range(2):
        assert told(logging.INFO, "joined") == ["joined"]


def test_texts_that_never_come_again_do_not_pile_up() -> None:
    repeats = Repeats(lambda: 1.0)
    for number in range(MOST_REMEMBERED * 3):
        assert repeats.filter(logging.makeLogRecord({"levelno": logging.ERROR, "msg": f"trouble {number}"}))
    assert len(repeats._quiet_until) <= MOST_REMEMBERED


def test_aiokafka_is_told_to() -> None:
    log = logging.getLogger(aiokafka.consumer.fetcher.__name__)
    for _ in range(2):
        configure_logging("human")
        assert log.filters.count(REPEATS) == 1
