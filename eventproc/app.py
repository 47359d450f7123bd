"""``faust -A eventproc.app worker``: settings, then the app. Importing it reads the environment."""

from __future__ import annotations

import os
import sys

from agents.wiring import EventprocApp, create_app
from eventproc.errors import EventprocError
from eventproc.event_loop import choose_event_loop
from eventproc.logs import configure_logging
from settings import Settings, SettingsError, load_settings

__all__ = ["app"]


def _settings_or_exit() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    configure_logging(settings.logging.format)
    for warning in settings.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return settings


def _app_or_exit() -> EventprocApp:
    try:
        return create_app(_settings_or_exit())
    except EventprocError as error:
        sys.stderr.write(f"eventproc: {error}\n")
        raise SystemExit(2) from None


choose_event_loop(os.environ)  # before the app makes one
app = _app_or_exit()
