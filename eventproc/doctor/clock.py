"""Clocks: ours against those of the endpoints, by the ``Date`` of their answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Final

from eventproc.doctor.findings import Check, ok, problem, skipped, warning

NOTICED_SECONDS: Final = 5.0
REFUSED_SECONDS: Final = 45.0
"""Receivers refuse a signature that is a minute or two from their clock; the rest is the way."""

OURS: Final = "this machine"


def judge_clocks(skews: Mapping[str, float]) -> list[Check]:
    """Whose clock is off: where most endpoints agree that it is ours, it is ours.

    Args:
        skews: destination to the seconds by which its clock is ahead of ours.
    """
    if not skews:
        return [skipped(OURS, "clock", "no endpoint told the time (Date)")]
    ours = median(skews.values())
    agreeing = sum(abs(skew - ours) <= NOTICED_SECONDS for skew in skews.values())
    is_ours = len(skews) > 1 and abs(ours) > NOTICED_SECONDS and agreeing * 2 > len(skews)
    checks = [_ours(ours, agreeing)] if is_ours else []
    base = ours if is_ours else 0.0
    off = {id_: skew - base for id_, skew in skews.items() if abs(skew - base) > NOTICED_SECONDS}
    checks += [_theirs(id_, skew) for id_, skew in off.items()]
    return checks or [ok(OURS, "clock", f"agrees with {len(skews)} endpoints to {NOTICED_SECONDS:g} s")]


def _ours(skew: float, agreeing: int) -> Check:
    direction = "behind" if skew > 0 else "ahead"
    what = f"the clock is {abs(skew):.0f} s {direction}, as {agreeing} endpoints have it"
    return _judged(OURS, what, skew, "set it by NTP: wallets refuse signatures that are a minute off")


def _theirs(id_: str, skew: float) -> Check:
    direction = "ahead of" if skew > 0 else "behind"
    what = f"its clock is {abs(skew):.0f} s {direction} the others'"
    return _judged(id_, what, skew, "have the receiver set it by NTP, or set this machine's: one is wrong")


def _judged(subject: str, what: str, skew: float, way_out: str) -> Check:
    if abs(skew) > REFUSED_SECONDS:
        return problem(subject, "clock", what, way_out)
    return warning(subject, "clock", what, way_out)
