"""A receiver without a network: answers what a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from eventproc.outcomes import FailureKind, NoResponse, Response

Reply = Response | NoResponse

OK = Response(200, None, b"")
REFUSED = NoResponse(FailureKind.CONNECT, "refused")


def status(code: int, retry_after: str | None = None) -> Response:
    return Response(code, retry_after, b"body of %d" % code)


@dataclass
class FakeSender:
    """``script(body, n)`` answers the n-th request (from 1); ``hold`` keeps requests until it is set."""

    script: Callable[[bytes, int], Reply] = lambda _body, _n: OK
    sent: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    hold: asyncio.Event | None = None
    closed: bool = False
    limit: int | None = None

    async def send(self, headers: dict[str, str], body: bytes) -> Reply:
        self.sent.append(body)
        self.headers.append(headers)
        number = len(self.sent)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            if self.hold is not None:
                await self.hold.wait()
            else:
                await asyncio.sleep(0)
            return self.script(body, number)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        self.closed = True
