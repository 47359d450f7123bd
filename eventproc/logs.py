"""Logging: structured events, as lines for people by default, as one JSON object per line by setting.

The worker's handler is ours from its first line on, not Faust's: Faust sets logging up late, formats every
line for people, and draws tables of topics and partitions. ``eventproc/process_output.py`` has what does not
come through logging.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias

import structlog

TELL_AGAIN_SECONDS: Final = 10.0
MOST_REMEMBERED: Final = 1000
MOST_LISTED: Final = 10

Style: TypeAlias = Literal["human", "json"]


def configure_logging(style: Style) -> None:
    """Render our events into standard logging.

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
    if style == "json":
        install_handler(make_handler(style, sys.stderr), logging.WARNING)


def configure_worker_logging(
    style: Style, level: str | int | None, file: str | IO[str] | None = None
) -> None:
    """Do the same for a worker, whose handler writes to standard error, or to ``file``.

    Args:
        style: who reads the lines.
        level: a number, or a name of the settings or of Faust (``info``, ``WARN``, ``CRIT``); None: warning.
        file: a path or an open stream.
    """
    configure_logging(style)
    # The process's own standard error: what stands in its place by now may write here itself.
    install_handler(make_handler(style, file or sys.__stderr__ or sys.stderr), level_number(level))


def make_handler(style: Style, file: str | IO[str]) -> logging.Handler:
    """Return a handler that writes a record as one line for people, or as one JSON object."""
    stream = _open(file) if isinstance(file, str) else file
    if style == "json" and isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # JSON is UTF-8, whatever the locale
    handler = OneLineHandler(stream)
    handler.addFilter(shorten_collections)
    handler.setFormatter(_json_formatter() if style == "json" else HumanFormatter(coloured=stream.isatty()))
    return handler


def install_handler(handler: logging.Handler, level: int) -> None:
    """Make this the only handler of ours, for records from ``level`` on."""
    for other in [one for one in logging.root.handlers if isinstance(one, OneLineHandler)]:
        logging.root.removeHandler(other)
    handler.setLevel(level)
    logging.root.addHandler(handler)
    logging.root.setLevel(level)


def level_number(level: str | int | None) -> int:
    """Return the number of a level; an unknown name counts as ``info``: better too much than too little."""
    if level is None:
        return logging.WARNING
    if isinstance(level, int):
        return level
    known: Any = logging.getLevelName("CRITICAL" if level.upper() == "CRIT" else level.upper())
    return known if isinstance(known, int) else logging.INFO


class OneLineHandler(logging.StreamHandler[IO[str]]):
    """Writes each record at once; one that cannot be formatted is still one line."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report a record that could not be written, in the form of the others."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            return  # nobody reads any more: nothing can be written about that either
        lost = {"event": "log.failed", "logger": record.name, "text": repr(record.msg)}
        lost["problem"] = repr(error)
        self.stream.write(f"{json.dumps(lost)}\n")
        self.stream.flush()


class HumanFormatter(logging.Formatter):
    """``[time] [process] [level] message``, as Faust has it; a terminal shows trouble in colour."""

    def __init__(self, *, coloured: bool) -> None:
        super().__init__("[%(asctime)s] [%(process)s] [%(levelname)s] %(message)s")
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines where there is a traceback."""
        text = super().format(record)
        if not self._coloured or record.levelno < logging.WARNING:
            return text
        return f"\x1b[{31 if record.levelno >= logging.ERROR else 33}m{text}\x1b[0m"


def shorten_collections(record: logging.LogRecord) -> bool:
    """List a few topics or partitions of a library's message in one line, with how many more there are.

    Faust and aiokafka log whole assignments: at 1,000 destinations a line of 60,000 characters.
    """
    args = record.args
    if isinstance(args, Mapping):  # logging takes a lone mapping for named values
        args = args if "%(" in str(record.msg) else (args,)
    if isinstance(args, tuple):
        lists = (set, frozenset, list, dict)
        record.args = tuple(_listed(arg) if isinstance(arg, lists) else arg for arg in args)
    return True


def _open(path: str) -> IO[str]:
    return Path(path).open("a", encoding="utf-8", errors="backslashreplace")


def _listed(many: Collection[Any]) -> str:
    names: Iterable[str]
    if isinstance(many, dict):
        names = [f"{_named(key)}: {_named(value)}" for key, value in many.items()]
    else:
        names = map(_named, many)
    shown = sorted(names)[:MOST_LISTED]
    more = len(many) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if many else "none"


def _named(one: object) -> str:
    topic, partition = getattr(one, "topic", None), getattr(one, "partition", None)
    return str(one) if topic is None or partition is None else f"{topic}/{partition}"


def _renderer(style: Style) -> list[structlog.typing.Processor]:
    if style == "json":
        return [*_STAMPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    # Time and level stand before the line already, from the handler.
    return [structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True)]


def _json_formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_STAMPS, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _put_first,
            structlog.processors.JSONRenderer(_dumps),
        ],
    )


def _put_first(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put what every line has before what only this one has, for readers without a tool."""
    first = {name: event[name] for name in ("timestamp", "level", "logger", "event") if name in event}
    return first | dict(event)


def _dumps(event: Mapping[str, Any], **options: Any) -> str:
    """Return JSON by the standard, which has no NaN, and no keys but strings."""
    try:
        return json.dumps(event, ensure_ascii=False, allow_nan=False, **options)
    except (ValueError, TypeError):
        plain = {str(name): value if isinstance(value, str) else repr(value) for name, value in event.items()}
        return json.dumps(plain, ensure_ascii=False)


_STAMPS: Final[list[structlog.typing.Processor]] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


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
