"""Which addresses may be dialled, decided on the resolved address and pinned at connect.

The resolver filters what DNS answers, and the connection is made to exactly these addresses, so a name that
resolves differently a moment later (DNS rebinding) gains nothing. Link-local addresses, where clouds keep
their credentials, are never dialled, in any spelling.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_METADATA: Final = frozenset(
    ipaddress.ip_address(a) for a in ("100.100.100.200", "fd00:ec2::254", "192.0.0.192")
)


class ForbiddenAddressError(OSError):
    """The address must not be dialled; an OSError, so that aiohttp treats it as a failed connect."""


class GuardedResolver(AbstractResolver):
    """DNS as the system does it, without the addresses that must not be dialled."""

    def __init__(self, *, allow_private: bool) -> None:
        self._resolver = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve ``host``.

        Raises:
            ForbiddenAddressError: it has addresses, and none of them may be dialled.
        """
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if not is_forbidden(one["host"], allow_private=self._allow_private)]
        if found and not allowed:
            raise ForbiddenAddressError(f"every address of {host} is link-local or not allowed")
        return allowed

    async def close(self) -> None:
        """Nothing to close: the threads belong to the loop."""
        await self._resolver.close()


def is_forbidden(address: str, *, allow_private: bool) -> bool:
    """Whether a literal address must not be dialled. A host name is no address: False."""
    try:
        ip = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    ip = _unwrap(ip)
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in _METADATA:
        return True
    return not allow_private and not ip.is_global


def _unwrap(ip: IpAddress) -> IpAddress:
    """The IPv4 address inside a mapped, 6to4 or NAT64 one."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return inner or ip
    return ip
