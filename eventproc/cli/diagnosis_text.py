"""A diagnosis as text: for people, and for programs. What comes from others goes through ``printable``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

from eventproc.cli.dead_letter_text import printable
from eventproc.receiver.diagnose import Diagnosis
from eventproc.times import iso

_AROUND: Final = 20
_BODY_CAUSES: Final = {"body_encoding", "body_rewritten"}


def diagnosis_object(diagnosis: Diagnosis) -> dict[str, object]:
    """The diagnosis for ``--json``."""
    return {
        "valid": diagnosis.is_valid,
        "findings": [
            {"cause": one.cause.value, "what": one.what, "way_out": one.way_out} for one in diagnosis.findings
        ],
        "signed_at": _at(diagnosis.signed_at),
        "age_seconds": None if diagnosis.age_seconds is None else round(diagnosis.age_seconds, 3),
        "signed_host": diagnosis.signed_host,
        "signing_key": diagnosis.signing_key,
        "tries": diagnosis.tries,
    }


def diagnosis_lines(diagnosis: Diagnosis, body: bytes) -> list[str]:
    """The diagnosis for people; ``body`` is the one that was judged."""
    lines = []
    for one in diagnosis.findings:
        lines += [printable(f"{one.cause.value}: {one.what}"), printable(f"  {one.way_out}")]
        if one.cause.value in _BODY_CAUSES and diagnosis.signed_body is not None:
            lines += _difference(body, diagnosis.signed_body)
    if diagnosis.is_valid:
        facts = f"signed by {diagnosis.signing_key} for {diagnosis.signed_host} at {_at(diagnosis.signed_at)}"
        lines.append(printable(facts))
    return lines


def _difference(given: bytes, signed: bytes) -> list[str]:
    """Where the bodies part, with what stands there in each."""
    at = next(
        (place for place, (one, other) in enumerate(zip(given, signed, strict=False)) if one != other),
        min(len(given), len(signed)),
    )
    lines = [f"  {len(given)} bytes where {len(signed)} were signed; they part at byte {at}:"]
    for name, body in (("given ", given), ("signed", signed)):
        shown = body[max(0, at - _AROUND) : at + _AROUND].decode("utf-8", "replace")
        end = "" if at + _AROUND >= len(body) else "…"
        lines.append(printable(f"    {name}  {'…' if at > _AROUND else ''}{shown}{end}"))
    return lines


def _at(timestamp: int | None) -> str | None:
    if timestamp is None:
        return None
    try:
        return iso(datetime.fromtimestamp(timestamp, timezone.utc))
    except (ValueError, OverflowError, OSError):
        return str(timestamp)
