"""From a host to the addresses that may be dialled for it.

``Resolver`` is the seam: a connection asks it for each new connection, and dials nothing but what it
returned and what the egress guard lets pass, so a name that resolves differently a moment later (DNS
rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

CACHE_SECONDS: Final = 30.0


class Address(NamedTuple):
    """Where a socket connects to; ``place`` begins with the numeric address."""

    family: int
    place: SocketAddress

    @property
    def number(self) -> str:
        """The address without its port."""
        return self.place[0]


class Resolver(Protocol):
    """Finds the addresses of a host."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses in the order in which they are to be tried.

        Raises:
            OSError: there are none, or they could not be asked for.
            UnicodeError: no name can be like this.
        """


class SystemResolver:
    """The system's resolver, in the loop's threads; what it found is kept for half a minute."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], tuple[float, Sequence[Address]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """As ``Resolver.resolve``."""
        loop = asyncio.get_running_loop()
        until, addresses = self._found.get((host, port), (0.0, ()))
        if loop.time() >= until:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [Address(family, cast("SocketAddress", place)) for family, _, _, _, place in found]
            self._found[host, port] = (loop.time() + CACHE_SECONDS, addresses)
        return addresses
