"""Faust's command ``worker`` (0.15.3), replaced by one of the same name and options.

``worker``
    Faust prints a table before the first line of the log, and later redirects what is printed to its own log.
    A subclass with the name of a command takes its place when the app's module is imported: Faust's public
    way for an app to bring commands (``AppCommand``). Only ``--quiet`` leaves the table out, and other output
    with it. No upstream issue. Not needed any more when ``tests/integration/test_log_lines.py`` passes
    without it.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import faust
import structlog
from faust.cli.worker import worker as faust_worker

from eventproc.auth.signing_account import signing_account

log = structlog.stdlib.get_logger("eventproc.delivery")


class worker(faust_worker):  # noqa: N801 - the name of the command
    """Start worker instance for given app."""

    redirect_stdouts = False

    def on_worker_created(self, worker: Any) -> None:
        """Log what Faust has in its table and an operator may ask for."""
        conf = worker.app.conf
        log.info(
            "worker.starting",
            version=metadata.version("eventproc"),
            faust=faust.__version__,
            consumer_group=conf.id,
            broker=[str(url) for url in conf.broker],
            web=f"{conf.web_bind}:{conf.web_port}",
            pid=os.getpid(),
            signing_account=signing_account(worker.app.parts.settings.sep10, datetime.now(timezone.utc)),
        )
