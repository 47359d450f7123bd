"""The bytes before a request's body; what is the same for all requests to one URL is made once.

No header's value, name or URL can end a line (request splitting): the lines are counted after they are
joined, names are read as the grammar wants them, and what a URL may not hold is percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from yarl import URL

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te"}
)
"""Headers that say where a request goes and where it ends."""

_TARGET_CHARACTERS: Final = "".join(map(chr, range(0x21, 0x7F)))
_COMBINATIONS: Final = 64
"""Of header names that are remembered: there are a few, by destination, tracing and redrive."""


class RequestHead:
    """Heads of POSTs to one URL.

    Args:
        url: where to; a fragment and credentials are left out.
        defaults: headers of each request; a request's own header of the same name stands in its place.
    """

    def __init__(self, url: URL, defaults: Mapping[str, str]) -> None:
        target = quote(url.raw_path_qs or "/", safe=_TARGET_CHARACTERS)
        self._line = f"POST {target} HTTP/1.1\r\nHost: {_host_header(url)}\r\n"
        self._defaults = defaults
        self._beginnings: dict[tuple[str, ...], str] = {}

    def of(self, headers: Mapping[str, str], body_bytes: int) -> bytes:
        """The head of one request, up to its body.

        Raises:
            ValueError: a header cannot be written.
        """
        names = tuple(headers)
        beginning = self._beginnings.get(names) or self._beginning(names)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if not lines.count("\r") == lines.count("\n") == len(names) or "\0" in lines:
            raise ValueError(f"one of the headers {', '.join(names)} has a line break in it")
        return f"{beginning}{lines}Content-Length: {body_bytes}\r\n\r\n".encode("utf-8", "replace")

    def _beginning(self, names: tuple[str, ...]) -> str:
        lower = [name.lower() for name in names]
        for name in names:
            if not _NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"{name!r} cannot be a header of a request")
        if len(set(lower)) < len(lower):
            raise ValueError(f"one of the headers {', '.join(names)} stands there twice")
        kept = [f"{name}: {value}\r\n" for name, value in self._defaults.items() if name.lower() not in lower]
        if "".join(kept).count("\n") != len(kept):
            raise ValueError("delivery.user_agent has a line break in it")
        if len(self._beginnings) >= _COMBINATIONS:
            self._beginnings.clear()
        beginning = self._beginnings[names] = self._line + "".join(kept)
        return beginning


def _host_header(url: URL) -> str:
    host = (url.raw_host or "").rstrip(".")
    host = f"[{host.partition('%')[0]}]" if ":" in host else host
    port = "" if url.is_default_port() or url.port is None else f":{url.port}"
    return quote(host, safe=_TARGET_CHARACTERS) + port
