"""Logging: structured events, for people by default, as JSON lines by setting. Handlers are Faust's."""

from __future__ import annotations

import logging
from typing import Literal

import structlog


def configure_logging(style: Literal["human", "json"]) -> None:
    """Render our events into the standard logging that Faust sets up.

    aiokafka says less than it could: at debug level it writes the key and value of every record, which are
    people's data, and it makes a log record for each even where nobody reads it (5 % of a worker's CPU). Its
    connections write the user name at info level, and the password at debug.
    """
    logging.getLogger("aiokafka").setLevel(logging.INFO)
    logging.getLogger("aiokafka.conn").setLevel(logging.WARNING)
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
