"""A name server on loopback, for tests: answers, denies, fails or stays silent, by name. dnspython does the wire format."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from types import TracebackType
from typing import Final

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from typing_extensions import Self

DENIAL_SECONDS: Final = 3600


class NameServer(asyncio.DatagramProtocol):
    """Use as ``async with``; ``address`` is its ``host:port``.

    A name that is in none of the tables does not exist.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, tuple[list[str], int]] = {}
        """Name -> IPv4 addresses and their TTL in seconds."""
        self.silent: set[str] = set()
        self.failing: set[str] = set()
        self.asked: Counter[str] = Counter()
        self._transport: asyncio.DatagramTransport | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        self.asked[name] += 1
        if name in self.silent or self._transport is None:
            return
        response = dns.message.make_response(query)
        addresses, ttl = self.addresses.get(name, ([], 0))
        if name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not addresses:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, ttl, "IN", "A", *addresses))
        if not response.answer:
            soa = f"ns.test. admin.test. 1 3600 600 86400 {DENIAL_SECONDS}"
            response.authority.append(dns.rrset.from_text("test.", DENIAL_SECONDS, "IN", "SOA", soa))
        self._transport.sendto(response.to_wire(), addr)
