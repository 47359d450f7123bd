"""Addresses of names, kept for as long as the name servers say, and longer while these are silent.

::

    fresh ── TTL over ──> asked again ── answered ──────> fresh
                               │── no answer ───────────> stale: earlier addresses stay in use, reported
                               └── "no such name" ──────> negative: for a moment, then asked again

One lookup per name is under way at a time, whatever asks for it, and no lookup waits for another one: a
silent name server delays the names that it serves and no others. A lookup goes on when the request that
began it has given up, so the next one finds its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from typing_extensions import assert_never

from eventproc.http.addresses import Address, NameNotResolvedError, SocketAddress
from eventproc.http.dns_lookup import DnsLookup, Found, LookupResult, NotAnswered, NotFound

log = structlog.stdlib.get_logger("eventproc.delivery")

SHORTEST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 300.0
"""Bounds of a TTL: 0 would ask for every connection, a day would keep a receiver from moving."""

NEGATIVE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 1.0
"""After a lookup without an answer, the next one begins no sooner."""

STALE_AFTER_SECONDS: Final = 0.5

LONGEST_STALE_SECONDS: Final = 86_400.0


class Lookup(Protocol):
    """Asks the name servers once."""

    async def look_up(self, host: str) -> LookupResult:
        """Return what came of it; expected failures are returned, not raised."""

    def forget(self) -> None:
        """Drop kept answers."""

    def close(self) -> None:
        """End lookups under way."""


def open_resolver(name_servers: Sequence[str] = ()) -> CachingResolver:
    """Make a resolver that asks these (``host:port``) or, without any, the system's name servers."""
    return CachingResolver(DnsLookup(name_servers))


@dataclass(slots=True)
class _Name:
    """What is known of one name; times are of the loop's clock."""

    places: Sequence[tuple[int, SocketAddress]] = ()
    answered_at: float = 0.0
    fresh_until: float = 0.0
    ask_after: float = 0.0
    problem: str = ""
    unanswered_since: float | None = None
    lookup: asyncio.Task[None] | None = field(default=None)


class CachingResolver:
    """Resolves for all destinations of a worker.

    Args:
        lookup: asks the name servers.
        time: a monotonic clock in seconds; the loop's by default.
        stale_after_seconds: how long a request waits for an answer while earlier addresses are known.
    """

    def __init__(
        self,
        lookup: Lookup,
        time: Callable[[], float] | None = None,
        stale_after_seconds: float = STALE_AFTER_SECONDS,
    ) -> None:
        self._lookup = lookup
        self._clock = time
        self._stale_after = stale_after_seconds
        self._names: dict[str, _Name] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses of ``host`` in the order in which they are to be tried.

        Raises:
            NameNotResolvedError: there are none, or no name server answered and none were known.
        """
        name = self._names.setdefault(host, _Name())
        now = self._time()
        if now >= name.fresh_until:
            await self._ask(host, name, now)
        if not name.places:
            raise NameNotResolvedError(f"{host}: {name.problem}")
        return [Address(family, (place[0], port, *place[2:])) for family, place in name.places]

    @property
    def unanswered(self) -> int:
        """How many names the name servers did not answer for when they were asked last."""
        return sum(name.unanswered_since is not None for name in self._names.values())

    async def aclose(self) -> None:
        """End the lookups that are under way; a later one opens a channel of its own."""
        lookups = [name.lookup for name in self._names.values() if name.lookup is not None]
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        self._lookup.close()

    def _time(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()

    async def _ask(self, host: str, name: _Name, now: float) -> None:
        """Wait for the lookup of this name, beginning it unless one is under way or was a moment ago."""
        if name.lookup is None:
            if now < name.ask_after:
                return
            name.lookup = asyncio.get_running_loop().create_task(self._look_up(host, name))
        await asyncio.wait({name.lookup}, timeout=self._stale_after if name.places else None)

    async def _look_up(self, host: str, name: _Name) -> None:
        try:
            if name.problem:
                self._lookup.forget()
            self._note(host, name, await self._lookup.look_up(host))
        finally:
            name.lookup = None

    def _note(self, host: str, name: _Name, result: LookupResult) -> None:
        now = self._time()
        if isinstance(result, Found):
            ttl = min(max(result.ttl_seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
            name.places, name.answered_at, name.fresh_until = result.places, now, now + ttl
        elif isinstance(result, NotFound):
            name.places, name.ask_after = (), now + NEGATIVE_SECONDS
        elif isinstance(result, NotAnswered):
            name.ask_after = now + RETRY_SECONDS
            if now - name.answered_at > LONGEST_STALE_SECONDS:
                name.places = ()
        else:
            assert_never(result)
        self._report(host, name, result, now)

    def _report(self, host: str, name: _Name, result: LookupResult, now: float) -> None:
        if not isinstance(result, NotAnswered):
            name.problem = "" if isinstance(result, Found) else "the name servers know no address"
            if name.unanswered_since is not None:
                log.info("name.answered", host=host, after_seconds=round(now - name.unanswered_since, 1))
                name.unanswered_since = None
            return
        name.problem = f"no answer from the name servers ({result.reason})"
        if name.unanswered_since is None:
            name.unanswered_since = now
            log.warning(
                "name.unanswered", host=host, reason=result.reason, uses_earlier_addresses=bool(name.places)
            )
