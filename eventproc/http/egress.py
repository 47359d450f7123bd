"""Which addresses may be dialled, decided on the resolved address and again on the one that is dialled.

What DNS answers is filtered, the connection is made to exactly these addresses, and the socket is made only
for an address that is allowed: a name that resolves differently a moment later (DNS rebinding) gains
nothing, nor does a host that a client takes for an address and does not resolve (``2852039166``).

Never dialled, whatever is set: link-local addresses, where clouds keep their credentials, other addresses of
such services, multicast, broadcast and "this host". An IPv6 address with an IPv4 address in it is taken for
that one. Of the rest, public ones are free; private ones are what ``delivery.allow_private_networks`` and
``delivery.allowed_networks`` say.
"""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from dataclasses import dataclass
from typing import Final, TypeAlias

from settings.delivery import DeliverySettings

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # "this host": Linux takes it for itself
        "169.254.0.0/16",  # link-local: AWS, Azure, Google, Oracle and others
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.192/32",  # Oracle
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::/64",  # Google
        "fd00:42::42/128",  # Scaleway
        "ff00::/8",
    )
)

# What Python's tables (they differ by version) take for public, and is not to be reached from outside.
_PRIVATE_TOO: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "fec0::/10", "64:ff9b:1::/48", "2002::/16", "3fff::/20", "5f00::/16")
)

_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_TRANSLATED: Final = ipaddress.IPv6Network("::ffff:0:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_LOOPBACK6: Final = ipaddress.IPv6Address("::1")


class ForbiddenAddressError(OSError):
    """The address must not be dialled; an OSError, so that it is a failed connect to whatever dials."""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What may be dialled beside public addresses: nothing private, everything, or these networks."""

    allow_private: bool
    allowed_networks: tuple[IpNetwork, ...] = ()

    @classmethod
    def of(cls, delivery: DeliverySettings) -> EgressPolicy:
        """As set; a list of networks says more than the switch, and so decides."""
        networks = delivery.allowed_networks
        return cls(delivery.allow_private_networks and not networks, networks)

    @classmethod
    def of_connections(cls, delivery: DeliverySettings) -> EgressPolicy:
        """For what is dialled: the same, or the proxy alone, which may be private: the operator chose it."""
        return cls.of(delivery) if delivery.proxy_url is None else cls(allow_private=True)

    def forbids_host(self, host: str) -> bool:
        """Whether a URL's host is an address, in any spelling, that must not be dialled. A name: False."""
        ip = _address_of_host(host)
        return ip is not None and self._forbids(ip)

    def allows(self, address: str) -> bool:
        """Whether a socket may be connected to it: an address in its own spelling, and allowed."""
        ip = _parse(address)
        return ip is not None and not self._forbids(ip)

    def _forbids(self, address: IpAddress) -> bool:
        ip, hidden = _inside(address)
        if any(one in network for one in (ip, *hidden) for network in _NEVER):
            return True
        if self.allow_private or any(ip in network for network in self.allowed_networks):
            return False
        return not _is_public(ip)


def _parse(text: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _address_of_host(host: str) -> IpAddress | None:
    """The address that a host stands for, if it is one: ``127.1``, ``0x7f000001``, full-width digits too."""
    text = unicodedata.normalize("NFKC", host).replace("\u3002", ".").strip("[]").removesuffix(".")
    ip = _parse(text)
    if ip is not None or not text.isascii():
        return ip
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))  # the C library's reading, which is what dials
    except (OSError, ValueError):
        return None


def _inside(ip: IpAddress) -> tuple[IpAddress, tuple[IpAddress, ...]]:
    """The address that packets end up at, and addresses that may hide in it."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip, ()
    last = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.ipv4_mapped is not None or ip in _NAT64 or ip in _TRANSLATED:
        return last, ()
    if ip in _COMPATIBLE and ip != _LOOPBACK6 and int(ip):
        return last, ()
    if ip.sixtofour is not None:
        return ip.sixtofour, ()
    if ip.teredo is not None:
        return ip, ip.teredo
    if ip in _LOCAL_NAT64:  # RFC 6052, 2.2: around bits 64 to 71, or behind a prefix of 96 bits
        around = ipaddress.IPv4Address((int(ip) >> 64 & 0xFFFF) << 16 | int(ip) >> 40 & 0xFFFF)
        return ip, (around if int(around) else last,)
    if int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
        return ip, (last,)
    return ip, ()


def _is_public(ip: IpAddress) -> bool:
    return ip.is_global and not ip.is_reserved and not any(ip in network for network in _PRIVATE_TOO)
