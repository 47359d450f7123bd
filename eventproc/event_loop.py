"""Which event loop the worker runs on: uvloop where it is installed, unless the operator chose one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

import mode.loop


def choose_event_loop(environment: Mapping[str, str]) -> str:
    """Have every loop that is made from now on be of one kind; returns its name as Faust has it.

    Args:
        environment: of the process; Faust puts its option ``-L`` into ``FAUST_LOOP``, and applies it.
    """
    chosen = environment.get("FAUST_LOOP") or environment.get("F_LOOP")
    if chosen:
        return chosen
    if find_spec("uvloop") is None:
        return "aio"
    mode.loop.use("uvloop")
    return "uvloop"
