"""Other names under which a signature may have been made: what people take for the host by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from eventproc.signed_text import signed_host

_SAME: Final = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}


def host_variants(host: str, url: str | None = None, *, changes: int = 2) -> list[str]:
    """Names like ``host``, the likely ones first, without ``host`` itself.

    Args:
        host: what the receiver verifies with.
        url: its callback URL, if it is known; some sign all of it.
        changes: how many mistakes at most; "www.wallet.example.com:443" for "wallet.example.com" is two.
    """
    found = [] if url is None else _of_url(url)
    latest = [host]
    for _ in range(changes):
        latest = [variant for name in latest for variant in _one_change(name)]
        found += latest
    return [name for name in dict.fromkeys(found) if name != host]


def _of_url(url: str) -> list[str]:
    parts = urlsplit(url)
    host = signed_host(url)
    return [host, url, url.rstrip("/"), f"{parts.scheme}://{host}", f"{host}{parts.path}", parts.path]


def _one_change(host: str) -> Iterator[str]:
    name, port = _split(host)
    if port is not None:
        yield name
    else:
        yield from (f"{name}:{common}" for common in ("443", "80", "8080", "8443", "3000"))
    suffix = "" if port is None else f":{port}"
    yield name.removeprefix("www.") + suffix if name.startswith("www.") else f"www.{host}"
    if name in _SAME:
        yield _SAME[name] + suffix
    yield host.lower()
    yield host.upper()
    yield (name.removesuffix(".") if name.endswith(".") else f"{name}.") + suffix
    yield _other_alphabet(name) + suffix
    for scheme in ("https://", "http://"):
        yield scheme + host
        yield f"{scheme}{host}/"
    yield f"{host}/"
    yield ""


def _split(host: str) -> tuple[str, str | None]:
    found = re.fullmatch(r"(.*?):([0-9]+)", host, re.ASCII)
    return (found[1], found[2]) if found else (host, None)


def _other_alphabet(name: str) -> str:
    """``bücher.example`` for ``xn--bcher-kva.example``, and the other way round."""
    try:
        if name.isascii():
            return name.encode("ascii").decode("idna")
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
