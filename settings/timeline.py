"""``timeline.*``: the journal of attempts, from which a transaction's timeline is read."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from settings.fields import Count, Seconds, Section


class TimelineSettings(Section):
    """``timeline.*``."""

    enabled: bool
    retention_hours: Count
    partitions: Annotated[int, Field(ge=1, le=10_000)]
    flush_seconds: Seconds
