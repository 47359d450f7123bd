"""From a host to the addresses that may be dialled for it.

``Resolver`` is the seam: a connection asks it for each new connection, and dials nothing but what it
returned and what the egress guard lets pass, so a name that resolves differently a moment later (DNS
rebinding) gains nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class Address(NamedTuple):
    """Where a socket connects to; ``place`` begins with the numeric address."""

    family: int
    place: SocketAddress

    @property
    def number(self) -> str:
        """The address without its port."""
        return self.place[0]


class NameNotResolvedError(OSError):
    """A name has no address, or its name servers did not answer; ``str`` names it and says which."""


class Resolver(Protocol):
    """Finds the addresses of a host."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return the addresses in the order in which they are to be tried.

        Raises:
            NameNotResolvedError: there are none, or the name servers did not answer.
        """
