"""What an operator can set. Knows nothing else of this project.

The reference of all keys is ``defaults.yaml`` in this folder.
"""

from __future__ import annotations

from settings.clients import Client
from settings.loader import load_settings
from settings.model import Settings
from settings.problems import Problem, SettingsError

__all__ = ["Client", "Problem", "Settings", "SettingsError", "load_settings"]
