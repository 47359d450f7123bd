"""A request's headers as frameworks hand them over, and the names by which the request calls its receiver."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable


@runtime_checkable
class HasItems(Protocol):
    """What is no ``Mapping`` and has ``items()`` all the same, like the headers object of ``http.server``."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Pairs of name and value."""


Headers: TypeAlias = Mapping[str, str] | HasItems | Iterable[tuple[str | bytes, str | bytes]]
"""A request's headers, names in any case: what has ``items()``, pairs of text or bytes, a WSGI environ."""

MAX_NAMES: Final = 8

_FORWARDED_HOST: Final = re.compile(r"(?:^|[;,\s])host=(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


def by_name(headers: Headers) -> dict[str, str]:
    """Index headers by name in lower case; the values of a repeated header are joined, as HTTP has it.

    Raises:
        TypeError: this is none of the forms of ``Headers``.
    """
    found: dict[str, str] = {}
    for name, value in _pairs(headers):
        key = _text(name).lower()
        found[key] = f"{found[key]}, {_text(value)}" if key in found else _text(value)
    return found


def names_of_receiver(headers: Mapping[str, str]) -> dict[str, str]:
    """Return each host that the request names, with the header that names it; the likely ones first.

    A tunnel or proxy may have put its own host into ``Host`` and the one that was asked for into another.

    Args:
        headers: by name in lower case.
    """
    found: dict[str, str] = {}
    for host, header in _named(headers):
        if host and len(found) < MAX_NAMES:
            found.setdefault(host, header)
    return found


def _named(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield headers.get("host", "").strip(), "Host"
    for quoted, bare in _FORWARDED_HOST.findall(headers.get("forwarded", "")):
        yield quoted or bare, "Forwarded"
    ports = _listed(headers.get("x-forwarded-port", ""))
    for header in ("X-Forwarded-Host", "X-Original-Host"):
        for host in _listed(headers.get(header.lower(), "")):
            yield host, header
            if ports and not re.search(r":[0-9]+$", host, re.ASCII):
                yield f"{host}:{ports[0]}", f"{header} and X-Forwarded-Port"


def _listed(value: str) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()]


def _pairs(headers: Headers) -> Iterator[tuple[str | bytes, str | bytes]]:
    if isinstance(headers, Mapping) and "REQUEST_METHOD" in headers:  # a WSGI environ, Django's META
        for name, value in headers.items():
            if name.startswith("HTTP_"):
                yield name.removeprefix("HTTP_").replace("_", "-"), value
        return
    pairs = headers.items() if isinstance(headers, HasItems) else headers
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"headers is {type(headers).__name__}: pass your framework's headers object, a mapping, "
                "pairs of name and value, or a WSGI environ"
            )
        yield pair[0], pair[1]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
