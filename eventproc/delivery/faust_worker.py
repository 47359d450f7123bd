"""Faust's worker process (0.15.3), overridden.

``Worker``
    SIGTERM must end the worker; broker, port and switch are looked at before anything starts. Logging is ours
    from the first line on (``eventproc/logs.py``): Faust's begins late, knows no JSON and draws tables, and
    its progress spinner writes past the log. ``override_logging`` and ``spinner`` are its public switches.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

import structlog
from faust.worker import Worker as FaustWorker

from eventproc.logs import Style, configure_worker_logging

log = structlog.stdlib.get_logger("eventproc.delivery")

SHUTDOWN_GRACE_SECONDS: Final = 3.0
FORCED_EXIT_CODE: Final = 70


class Worker(FaustWorker):
    """Faust's worker, with a look before the start and an end that comes for certain."""

    shutdown_seconds: float = 30.0
    log_format: Style = "human"
    _watchdog: threading.Timer | None = None

    def __init__(self, *services: Any, **options: Any) -> None:
        super().__init__(*services, override_logging=False, **options)
        self.spinner = None
        configure_worker_logging(self.log_format, self.loglevel, self.logfile)

    def execute_from_commandline(self) -> None:
        """Run the preflight, whose errors are for people to read, then start."""
        self.loop.run_until_complete(self.preflight())
        super().execute_from_commandline()

    async def preflight(self) -> None:
        """What must be right before anything starts; raises SystemExit when it is not."""

    def _on_sigterm(self) -> None:
        self.arm_watchdog()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        self.arm_watchdog()
        super()._on_sigint()

    def arm_watchdog(self) -> None:
        """From now on the process ends within the bound, whatever hangs."""
        if self._watchdog is None:
            seconds = self.shutdown_seconds + SHUTDOWN_GRACE_SECONDS
            self._watchdog = threading.Timer(seconds, _exit_hard, [seconds])
            self._watchdog.daemon = True
            self._watchdog.start()


def _exit_hard(seconds: float) -> None:
    log.error("worker.forced_exit", seconds=seconds)
    os._exit(FORCED_EXIT_CODE)
