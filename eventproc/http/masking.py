"""Keeps what proves who we are out of what is shown of a request: receivers quote it, and errors do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

from eventproc.scrubbing import scrub

TOKEN_CHARACTERS: Final = 8
"""Of a value in a URL's query that may be a token by itself; below stand ``true`` and ``testnet``."""

DETAIL_CHARACTERS: Final = 300
RECEIVED_BYTES: Final = 60
"""What is shown of bytes that are no answer."""


class Masking:
    """For the requests to one URL."""

    def __init__(self, url: URL) -> None:
        values = {f"?{name}": value for name, value in url.query.items() if len(value) >= TOKEN_CHARACTERS}
        self._in_query = {"?": url.raw_query_string, **values}

    def excerpt(self, text: bytes, headers: Mapping[str, str]) -> bytes:
        """A response's first bytes without the secrets of its request."""
        return scrub(text, {**headers, **self._in_query})

    def location(self, url: str, headers: Mapping[str, str]) -> str:
        """Where a redirect leads, without user, query and fragment, in which tokens stand."""
        try:
            parts = urlsplit(url)
            shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
        except ValueError:
            shown = "a URL that cannot be read"
        return self.detail(shown, b"", headers)

    def detail(self, problem: str, received: bytes, headers: Mapping[str, str]) -> str:
        """Why there is no response, with the first bytes that came in its place."""
        text = self.excerpt(problem.encode("utf-8", "replace"), headers).decode("utf-8", "ignore")
        if received:
            text += f"; received {self.excerpt(received, headers)[:RECEIVED_BYTES]!r}"
        return text[:DETAIL_CHARACTERS]
