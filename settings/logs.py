"""``logging.*``: how much is logged, and for whom."""

from __future__ import annotations

from typing import Annotated, Literal

from settings.fields import LowerCase, Section


class LoggingSettings(Section):
    """``logging.*``."""

    level: Annotated[Literal["debug", "info", "warning", "error", "critical"], LowerCase]
    format: Annotated[Literal["human", "json"], LowerCase]
