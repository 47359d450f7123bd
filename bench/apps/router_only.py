"""The router alone: without the sinks' agent nobody reads the internal topics, so they weigh nothing."""

from __future__ import annotations

from bench.apps.worker import app

__all__ = ["app"]

del app.agents["sinks"]
