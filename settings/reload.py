"""``reload.*``: how a running worker takes a changed configuration over."""

from __future__ import annotations

from typing import Annotated, Literal

from settings.fields import Seconds, Section
from settings.relaxed import Choice


class ReloadSettings(Section):
    """``reload.*``."""

    watch_files: bool
    interval_seconds: Seconds
    removed_destinations: Annotated[Literal["keep", "drop"], Choice()]
