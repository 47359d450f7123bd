"""One lookup of a name, by c-ares: asynchronous, so that a silent name server occupies no thread.

The system's resolver, ``getaddrinfo``, blocks one thread for as long as it waits. With eight silent name
servers, all six threads of the loop's pool wait, and every other name waits behind them: healthy wallets
were delayed by 10 s, with 24 silent ones by 40 s.

c-ares reads ``/etc/hosts``, ``resolv.conf`` and ``nsswitch.conf`` as the system's resolver does, and follows
their changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, TypeAlias, cast

import pycares

from eventproc.http.addresses import SocketAddress

TRY_SECONDS: Final = 1.0
"""Limit for one answer; c-ares waits less where a server is known to be quick, and doubles with each try."""

TRIES: Final = 3

_NEGATIVE: Final = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})


@dataclass(frozen=True, slots=True)
class Found:
    """The name's addresses, with port 0, in the order in which they are to be tried.

    ``ttl_seconds`` is the shortest of theirs; 0 for what the name servers were not asked for.
    """

    places: Sequence[tuple[int, SocketAddress]]
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class NotFound:
    """The name servers answered that the name has no address."""


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """No usable answer came: silence, SERVFAIL, REFUSED, or no name server at all."""

    reason: str


LookupResult: TypeAlias = Found | NotFound | NotAnswered


class DnsLookup:
    """Asks name servers; belongs to the loop in which the first name is looked up.

    Args:
        servers: ``host:port`` of each name server; empty: the system's.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = servers
        self._channel: pycares.Channel | None = None

    async def look_up(self, host: str) -> LookupResult:
        """Look up the IPv4 and IPv6 addresses of a name; takes 7 s at most for each name server."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[LookupResult] = loop.create_future()

        def answered(found: Any, error: int | None) -> None:
            # c-ares calls from a thread of its own; after ``close``, the loop may be closed as well.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_set, result, _judge(found, error))

        try:
            self._open().getaddrinfo(host, None, type=socket.SOCK_STREAM, callback=answered)
        except (pycares.AresError, UnicodeError) as error:
            return NotAnswered(str(error))
        return await result

    def forget(self) -> None:
        """Drop what c-ares keeps, negative answers among it, for as long as the zone says: often an hour."""
        if self._channel is not None:
            self._channel.reinit()

    def close(self) -> None:
        """End lookups under way; each ends as ``NotAnswered``."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            channel.close()

    def _open(self) -> pycares.Channel:
        if self._channel is None:
            self._channel = pycares.Channel(timeout=TRY_SECONDS, tries=TRIES, servers=self._servers or None)
        return self._channel


def _judge(found: Any, error: int | None) -> LookupResult:
    if error in _NEGATIVE:
        return NotFound()
    if error:
        return NotAnswered(_reason(error))
    places = [(int(node.family), _place(node.addr)) for node in found.nodes]
    if not places:
        return NotFound()
    if all(ip_address(place[0]).is_loopback for _, place in places):
        # c-ares gives localhost an IPv6 address that /etc/hosts need not have, and puts it first.
        places.sort(key=lambda found: found[0] == socket.AF_INET6)
    return Found(places, min(node.ttl for node in found.nodes))


def _reason(error: int) -> str:
    reason = pycares.errno.strerror(error)
    return reason if isinstance(reason, str) else reason.decode("utf-8", "replace")


def _place(address: tuple[Any, ...]) -> SocketAddress:
    number, *rest = address
    return cast("SocketAddress", (number.decode() if isinstance(number, bytes) else number, *rest))


def _set(result: asyncio.Future[LookupResult], value: LookupResult) -> None:
    if not result.done():
        result.set_result(value)
