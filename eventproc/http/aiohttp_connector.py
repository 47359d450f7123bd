"""aiohttp's connector behind the egress guard, by its public API alone."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from eventproc.http.addresses import Resolver
from eventproc.http.egress import EgressPolicy, ForbiddenAddressError
from settings.delivery import DeliverySettings
from settings.urls import parse_http_url


class Proxy(NamedTuple):
    """aiohttp's arguments ``proxy`` and ``proxy_headers``; it sends the second with CONNECT alone."""

    url: str | None
    headers: Mapping[str, str]

    @classmethod
    def of(cls, delivery: DeliverySettings) -> Proxy:
        """The proxy that the settings name, if they do, with the user's password."""
        if delivery.proxy_url is None:
            return cls(None, {})
        url = parse_http_url(delivery.proxy_url)
        if url.user is None:
            return cls(str(url), {})
        password = "" if delivery.proxy_password is None else delivery.proxy_password.get_secret_value()
        shown = aiohttp.encode_basic_auth(unquote(url.user), password)
        return cls(str(replace(url, user=None)), {"Proxy-Authorization": shown})

    def request_headers(self, scheme: str) -> Mapping[str, str]:
        """What a request itself must carry for the proxy: by https it reads ``CONNECT`` alone."""
        return self.headers if scheme == "http" else {}


class GuardedResolver(AbstractResolver):
    """Names as ``resolver`` finds them, without the addresses that must not be dialled."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver) -> None:
        self._resolver = resolver
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve ``host``.

        Raises:
            ForbiddenAddressError: it has addresses, and none of them may be dialled.
        """
        found = await self._resolver.resolve(host, port)
        allowed = [one for one in found if self._policy.allows(one.number)]
        if found and not allowed:
            raise ForbiddenAddressError(f"no address of {host} may be dialled")
        return [
            ResolveResult(
                hostname=host,
                host=one.number,
                port=port,
                family=one.family,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for one in allowed
            if family in {socket.AF_UNSPEC, one.family}
        ]

    async def close(self) -> None:
        """Has nothing to close."""


def guarded_connector(policy: EgressPolicy, resolver: Resolver, **options: Any) -> aiohttp.TCPConnector:
    """Make a connector that dials nothing but what is allowed.

    Args:
        policy: what is allowed.
        resolver: finds addresses.
        options: of ``aiohttp.TCPConnector``.
    """

    def open_socket(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, place = address
        if not policy.allows(place[0]):
            raise ForbiddenAddressError(f"{place[0]} must not be dialled")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=GuardedResolver(policy, resolver), socket_factory=open_socket, **options
    )
