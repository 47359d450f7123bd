"""What a worker writes past its log: prints, warnings and uncaught exceptions become log events.

With ``logging.format: json``, a collector parses every line that the process writes. Libraries print (Faust,
click), and Python prints warnings and tracebacks. Native code that writes to descriptor 2 by itself, such as
a fatal error of the interpreter, is out of reach here.
"""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
from types import TracebackType
from typing import Final

import structlog

log = structlog.stdlib.get_logger("eventproc.output")

WRITTEN: Final = "output.written"


def log_whatever_is_written() -> None:
    """Send standard output, standard error, warnings and uncaught exceptions to the root's handlers."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable
    out, err = LoggedLines("stdout", logging.INFO), LoggedLines("stderr", logging.WARNING)
    sys.stdout, sys.stderr = out, err
    atexit.register(out.close)
    atexit.register(err.close)


class LoggedLines(io.TextIOBase):
    """A text stream whose lines become events ``output.written``, at whatever level the log is."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, level: int) -> None:
        super().__init__()
        self._name = name
        self._level = level
        self._unfinished = ""
        self._lock = threading.RLock()

    def writable(self) -> bool:
        """It takes text."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are whole; keep what follows the last of them."""
        if not isinstance(text, str):
            raise TypeError(f"text expected, not {type(text).__name__}")  # what click asks a text stream for
        with self._lock:
            *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._emit(line)
        return len(text)

    def close(self) -> None:
        """Log the line that was not finished. Writing still works: at its end the interpreter may write."""
        with self._lock:
            line, self._unfinished = self._unfinished, ""
        self._emit(line)

    def _emit(self, line: str) -> None:
        if not line.strip():
            return
        fields: dict[str, object] = {
            "msg": WRITTEN,
            "name": "eventproc.output",
            "stream": self._name,
            "text": line.rstrip(),
        }
        fields |= {"levelno": self._level, "levelname": logging.getLevelName(self._level)}
        for handler in logging.root.handlers:
            handler.handle(logging.makeLogRecord(fields))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("worker.crashed", problem=repr(error), exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value or args.exc_type()
    name = args.thread.name if args.thread is not None else None
    exc_info = (args.exc_type, error, args.exc_traceback)
    log.critical("thread.crashed", thread=name, problem=repr(error), exc_info=exc_info)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    error = args.exc_value or args.exc_type()
    where = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}"[:200]
    log.error("exception.ignored", where=where, exc_info=(args.exc_type, error, args.exc_traceback))
