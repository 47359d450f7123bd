"""Whether the extra ``otel`` is there when the settings ask for it; imports nothing of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from settings.tracing import TracingSettings

_NEEDED: Final = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def missing_extra(tracing: TracingSettings) -> str | None:
    """What is wrong and the way out; None when traces are off or can be made."""
    if not tracing.enabled or all(map(_is_there, _NEEDED)):
        return None
    return "tracing.enabled is true, and OpenTelemetry is not installed: pip install 'eventproc[otel]'"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False
