"""The router alone: without the sinks' agents nobody reads the internal topics, so they weigh nothing."""

from __future__ import annotations

from bench.apps.worker import app

__all__ = ["app"]

for _name in [name for name in app.agents if name.startswith("sink.")]:
    del app.agents[_name]
