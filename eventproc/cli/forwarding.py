"""Pass a request on to an application on this machine, for ``eventproc listen --forward``.

The bytes of the body and the headers stay as they came, ``Host`` among them, so that the application can
verify the signature as it does behind its real URL. Only what belongs to one connection is left out
(RFC 9110, 7.6.1). Nothing is decompressed and no redirect is followed: the answer is shown as it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from multidict import CIMultiDict

FORWARD_SECONDS: Final = 30.0
"""As long as the anchor waits for an answer by default."""

UNREACHABLE: Final = 502
MAX_ANSWER_BYTES: Final = 1024 * 1024

_OF_ONE_CONNECTION: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect"),
    }
)
_OF_THE_CLIENT: Final = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


@dataclass(frozen=True, slots=True)
class ForwardedAnswer:
    """What the application answered; ``problem`` says why there is no answer, and ``status`` is 502 then."""

    status: int
    seconds: float
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    problem: str | None = None


class Forwarder:
    """Requests to one URL of an application.

    Args:
        url: where every request goes, whatever its path.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def forward(self, method: str, headers: Iterable[tuple[str, str]], body: bytes) -> ForwardedAnswer:
        """Send one request and return the answer; a failure comes back, it is not raised."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=_OF_THE_CLIENT,
                timeout=aiohttp.ClientTimeout(total=FORWARD_SECONDS),
            )
        began = time.monotonic()
        try:
            async with self._session.request(
                method, self.url, headers=_passed_on(headers), data=body, allow_redirects=False
            ) as response:
                content = await response.content.read(MAX_ANSWER_BYTES)
                while not response.content.at_eof() and len(content) < MAX_ANSWER_BYTES:
                    content += await response.content.read(MAX_ANSWER_BYTES - len(content))
                passed = tuple(_passed_on(response.headers.items()).items())
                return ForwardedAnswer(response.status, time.monotonic() - began, passed, content)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            timed_out = isinstance(error, asyncio.TimeoutError)
            problem = f"no answer within {FORWARD_SECONDS:g} s" if timed_out else str(error) or repr(error)
            return ForwardedAnswer(UNREACHABLE, time.monotonic() - began, problem=problem)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _passed_on(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for token in value.split(",")
    }
    return CIMultiDict(
        (name, value) for name, value in pairs if name.lower() not in named | _OF_ONE_CONNECTION
    )
