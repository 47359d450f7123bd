"""``faust -A eventproc.app worker``: settings, then the app. Importing it reads the environment."""

from __future__ import annotations

import sys

from agents.wiring import create_app
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


app = create_app(_settings_or_exit())
