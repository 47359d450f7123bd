"""Logging: structured events, for people by default, as JSON lines by setting. Handlers are Faust's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

TELL_AGAIN_SECONDS: Final = 10.0
MOST_REMEMBERED: Final = 1000


def configure_logging(style: Literal["human", "json"]) -> None:
    """Render our events into the standard logging that Faust sets up.

    aiokafka says less than it could: at debug level it writes the key and value of every record, which are
    people's data, and it makes a log record for each even where nobody reads it (5 % of a worker's CPU). Its
    connections write the user name at info level, and the password at debug. While Kafka is away it repeats
    each trouble with every attempt, forty lines a second.
    """
    logging.getLogger("aiokafka").setLevel(logging.INFO)
    logging.getLogger("aiokafka.conn").setLevel(logging.WARNING)
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "aiokafka":
            logging.getLogger(name).addFilter(REPEATS)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            *_renderer(style),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderer(style: Literal["human", "json"]) -> list[structlog.typing.Processor]:
    if style == "json":
        return [
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    # Time and level stand before the line already, from Faust's handler.
    return [structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True)]


class Repeats(logging.Filter):
    """Lets the same warning or error of a logger through once in ``TELL_AGAIN_SECONDS``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is told."""
        if record.levelno < logging.WARNING:
            return True
        now, key = self._clock(), (record.name, record.getMessage())
        if now < self._quiet_until.get(key, 0.0):
            return False
        if len(self._quiet_until) >= MOST_REMEMBERED:
            self._quiet_until.clear()
        self._quiet_until[key] = now + TELL_AGAIN_SECONDS
        return True


REPEATS: Final = Repeats()
"""What aiokafka's loggers share."""
