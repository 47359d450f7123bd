"""``logging.*``: how much is logged, and for whom."""

from __future__ import annotations

from typing import Annotated, Literal

from settings.fields import Section
from settings.relaxed import Choice


class LoggingSettings(Section):
    """``logging.*``."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], Choice()]
    format: Annotated[Literal["human", "json"], Choice()]
