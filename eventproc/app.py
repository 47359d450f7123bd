"""``faust -A eventproc.app worker``: settings, then the app. Importing it reads the environment."""

from __future__ import annotations

import os

from agents.wiring import EventprocApp, create_app
from eventproc.delivery import faust_command
from eventproc.delivery.preflight import EXIT_CONFIGURATION
from eventproc.errors import EventprocError
from eventproc.event_loop import choose_event_loop
from eventproc.logs import configure_worker_logging
from eventproc.process_output import log_whatever_is_written
from eventproc.startup_report import report_not_started, report_refused, report_warnings
from settings import Settings, SettingsError, load_settings

__all__ = ["app", "worker"]

worker = faust_command.worker


def _settings_or_exit() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        report_refused(error, EXIT_CONFIGURATION)
        raise SystemExit(EXIT_CONFIGURATION) from None
    configure_worker_logging(settings.logging.format, settings.logging.level)
    if settings.logging.format == "json":
        log_whatever_is_written()
    report_warnings(settings.logging.format, settings.warnings)
    return settings


def _app_or_exit() -> EventprocApp:
    settings = _settings_or_exit()
    try:
        return create_app(settings)
    except EventprocError as error:
        report_not_started(settings.logging.format, str(error), EXIT_CONFIGURATION)
        raise SystemExit(EXIT_CONFIGURATION) from None


choose_event_loop(os.environ)  # before the app makes one
app = _app_or_exit()
