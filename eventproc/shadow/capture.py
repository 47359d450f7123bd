"""Requests captured elsewhere, read from text: JSON lines, a JSON array, or a HAR file.

A line is an object of these members; all but a body and one of the first three may be missing::

    url            where it went
    destination    our name for it: callback-api, client.<name>.sep24
    path           in place of url, where the host is not known (`eventproc listen --json`)
    headers        an object, or pairs of name and value
    body           as text; or body_base64
    at             ISO-8601, or milliseconds since the epoch
    method         POST, unless it says otherwise
    right          what a receiver found when it checked it

A HAR file (HTTP Archive 1.2) is what proxies and browsers save; only its requests are read.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from eventproc.errors import EventprocError
from eventproc.identifiers import DestinationId
from eventproc.shadow.request import SentRequest
from eventproc.times import read_time


class CaptureError(EventprocError):
    """A capture that cannot be read; says where."""


def read_capture(text: str, name: str) -> list[SentRequest]:
    """The POSTs of a capture, in its order; ``name`` is for messages.

    Raises:
        CaptureError: it has none of the forms.
    """
    return [request for request in _requests(text, name) if request.method.upper() == "POST"]


def _requests(text: str, name: str) -> Iterator[SentRequest]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("log"), dict):
        entries = whole["log"].get("entries")
        if not isinstance(entries, list):
            raise CaptureError(f"{name} is a HAR file without entries. {_FORMS}")
        for number, entry in enumerate(entries, 1):
            yield _guarded(_har_entry, entry, f"{name}, entry {number}")
    elif isinstance(whole, list):
        for number, entry in enumerate(whole, 1):
            yield _guarded(_entry, entry, f"{name}, element {number}")
    else:
        yield from _lines(text, name)


def _lines(text: str, name: str) -> Iterator[SentRequest]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CaptureError(f"{where} is no JSON: {error}. {_FORMS}") from None
        if not _is_remark(entry):
            yield _guarded(_entry, entry, where)


_FORMS = "Give JSON lines as of `eventproc listen --json` or `eventproc shadow export`, or a HAR file"


def _is_remark(entry: Any) -> bool:
    """What ``listen --json`` prints first and last, and of probes."""
    remarks = {"listening", "probe", "summary"}
    return isinstance(entry, dict) and len(entry) == 1 and not entry.keys().isdisjoint(remarks)


def _guarded(read: Any, entry: Any, where: str) -> SentRequest:
    try:
        request: SentRequest = read(entry)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise CaptureError(f"{where} is no request: {type(error).__name__} {error}. {_FORMS}") from None
    return request


def _entry(entry: Any) -> SentRequest:
    destination, url = entry.get("destination"), entry.get("url") or entry.get("path") or ""
    if not destination and not url:
        raise ValueError("neither url nor destination")
    return SentRequest(
        str(url),
        _body(entry),
        _headers(entry.get("headers")),
        DestinationId(str(destination)) if destination else None,
        _time(entry.get("at")),
        str(entry.get("method", "POST")),
        entry.get("right"),
    )


def _har_entry(entry: Any) -> SentRequest:
    request = entry["request"]
    posted = request.get("postData") or {}
    body = posted.get("text") or ""
    return SentRequest(
        request["url"],
        base64.b64decode(body)
        if posted.get("encoding") == "base64"
        else body.encode("utf-8", "surrogatepass"),
        _headers(request.get("headers")),
        at=_time(entry.get("startedDateTime")),
        method=request["method"],
    )


def _body(entry: Mapping[str, Any]) -> bytes:
    if (encoded := entry.get("body_base64")) is not None:
        return base64.b64decode(encoded, validate=True)
    body = entry["body"]
    if not isinstance(body, str):
        raise TypeError("body is not the text that was sent")
    return body.encode("utf-8", "surrogatepass")


def _headers(given: Any) -> dict[str, str] | None:
    if given is None:
        return None
    pairs = given.items() if isinstance(given, dict) else map(_pair, _list(given))
    return {str(name): str(value) for name, value in pairs if not str(name).startswith(":")}


def _pair(header: Any) -> tuple[str, str]:
    if isinstance(header, dict):
        return header["name"], header["value"]
    name, value = header
    return name, value


def _time(given: Any) -> datetime | None:
    return None if given is None else read_time(str(given))


def _list(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise TypeError("a list was expected")
    return given
