"""A dead letter as text: for people, and for programs.

Everything in it comes from other parties: receivers' answers, ids, bodies. Nothing of it reaches a terminal
before ``printable``.
"""

from __future__ import annotations

import base64
import json

import orjson

from eventproc.records import Headers
from eventproc.redrive import Entry
from eventproc.times import iso


def summary(entry: Entry) -> dict[str, object]:
    """One entry of ``list --json``."""
    return {
        "event_id": entry.event_id,
        "source": entry.id.place,
        "transaction_id": entry.lane,
        "destination": entry.destination,
        "reason": entry.reason,
        "attempts": entry.attempts,
        "status": entry.status,
        "at": None if entry.at is None else iso(entry.at),
    }


def details(entry: Entry) -> dict[str, object]:
    """One entry of ``show --json``; a value that is not UTF-8 is given as ``value_base64``."""
    shown = summary(entry) | {
        "event_type": entry.event_type,
        "detail": entry.detail,
        "redriven_before": entry.redriven,
        "response": entry.excerpt.decode("utf-8", "replace"),
        "headers": {name: header_text(value) for name, value in entry.headers},
        "dead_letter_offset": entry.offset,
    }
    return shown | value_object(entry.value)


def value_object(value: bytes | None) -> dict[str, object]:
    """A record's value for JSON: ``value``, or ``value_base64`` when it is not UTF-8."""
    try:
        return {"value": None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value or b"").decode()}


def header_text(value: bytes | None) -> str | None:
    """A header's value for JSON, where a null stays one."""
    return None if value is None else value.decode("utf-8", "replace")


def header_lines(headers: Headers) -> list[str]:
    """A record's headers for people, one a line."""
    return [
        printable(f"  {name}: {'(null)' if value is None else header_text(value)}") for name, value in headers
    ]


def printable(text: str) -> str:
    """The text with everything escaped that cannot be seen: controls, line ends, writing directions."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def as_lines(entry: Entry) -> list[str]:
    """One entry for people: headers line by line, then the value, its digits untouched."""
    facts = details(entry)
    names = ("event_id", "event_type", "source", "transaction_id", "destination", "at", "reason", "detail")
    lines = [f"{name + ':':<17}{fact(facts[name])}" for name in (*names, "attempts")]
    lines += [f"{'last status:':<17}{fact(entry.status)}", f"{'response:':<17}{fact(facts['response'])}"]
    lines += [f"{'redriven before:':<17}{fact(entry.redriven)}", "headers:"]
    lines += header_lines(entry.headers)
    return [*lines, "value:", *(f"  {printable(line)}" for line in pretty(entry.value))]


def pretty(value: bytes | None) -> list[str]:
    """The lines of indented JSON; numbers keep their text. What is no JSON stays one line."""
    if value is None:
        return ["(none)"]
    try:
        parsed = json.loads(value, parse_float=_fragment, parse_int=_fragment, parse_constant=_fragment)
        return orjson.dumps(parsed, option=orjson.OPT_INDENT_2).decode().split("\n")
    except (ValueError, RecursionError, TypeError):
        return [value.decode("utf-8", "replace")]


def fact(value: object) -> str:
    """A value in one line, ``-`` for none."""
    return "-" if value in {None, ""} else printable(str(value))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _fragment(digits: str) -> orjson.Fragment:
    return orjson.Fragment(digits.encode())
