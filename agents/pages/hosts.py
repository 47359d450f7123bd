"""Which hosts the pages are served for: a request that names another one in ``Host`` is refused.

A browser that has loaded a page of ``attacker.example`` can be made to resolve that name to a worker's
address (DNS rebinding). To the browser the worker's pages then belong to the attacker's site, whose script
reads them. Such a request still has ``Host: attacker.example``.

Known are the loopback names and addresses, the address that is bound, the one on which the connection came
in, and ``web.hosts``. The port does not count: a port-forward or a proxy has another one, and rebinding
needs a name, not a port. Health and metrics are open, as probes and scrapes name a worker as they like.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from settings.urls import UrlError, normal_host

OPEN_PATHS: Final = ("/health/",)
METRICS: Final = "/metrics"
LOCAL_NAME: Final = "localhost"
ANY: Final = "*"

Address: TypeAlias = IPv4Address | IPv6Address


def is_open_to_any_host(path: str) -> bool:
    """Whether probes and scrapes ask for it."""
    return path.startswith(OPEN_PATHS) or path.rstrip("/") == METRICS


def is_known_host(header: str | None, hosts: Collection[str], own: Collection[str]) -> bool:
    """Whether the pages are served for this ``Host`` header.

    Args:
        header: as it was sent; None when it is missing or there are several.
        hosts: ``web.hosts``: names, ``*.suffix`` for all names below one, or ``*`` for any.
        own: addresses or a name that the worker listens on.
    """
    if ANY in hosts:
        return True
    host = None if header is None else _host(header)
    if host is None:
        return False
    if (address := _address(host)) is not None and address.is_loopback:
        return True
    known = {LOCAL_NAME, *(_plain(one) for one in own), *(_plain(one) for one in hosts)}
    return host in known or any(one.startswith("*.") and host.endswith(one[1:]) for one in known)


def _host(header: str) -> str | None:
    """The host without its port; None when the header is malformed."""
    name, colon, port = header.rpartition(":")
    if colon and "]" not in port:
        if port and not (port.isascii() and port.isdigit()):
            return None
    else:
        name = header
    try:
        return _plain(normal_host(name))
    except UrlError:
        return None


def _plain(host: str) -> str:
    """The form that is compared: lower case, no final dot, an IPv4 address where IPv6 holds one."""
    host = host.lower().removesuffix(".")
    address = _address(host)
    return host if address is None else str(address)


def _address(host: str) -> Address | None:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
