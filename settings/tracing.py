"""``tracing.*``: OpenTelemetry traces, from the anchor's record to each request."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from settings.fields import Section, Url


class TracingSettings(Section):
    """``tracing.*``."""

    enabled: bool
    endpoint: Url | None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] | None
