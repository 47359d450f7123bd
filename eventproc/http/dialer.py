"""Opens connections to one endpoint: addresses, egress guard, TCP, TLS, within one deadline.

The guard judges each address that the resolver returned, and once more the one that a socket is made for.
Several addresses are tried side by side, a quarter of a second apart (RFC 8305, by aiohappyeyeballs,
aiohttp's own library for it), so that one that does not answer costs no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohappyeyeballs import start_connection

from eventproc.http.addresses import Address, NameNotResolvedError, Resolver
from eventproc.http.connection import Connection, Unanswered
from eventproc.http.egress import ForbiddenAddressError
from eventproc.http.tls import CUT_OFF_HINT
from eventproc.outcomes import FailureKind

NEXT_ADDRESS_SECONDS: Final = 0.25


SUSPECT_SECONDS: Final = 60.0
"""An address that was tried before another one that answered is tried last for so long."""


@dataclass(frozen=True, slots=True)
class Dialer:
    """How one endpoint is reached.

    Args:
        host: a name or an address, without brackets.
        port: of the endpoint.
        resolver: where its addresses come from.
        allows: whether an address, as a number, may be dialled.
        tls: the context for https, or None.
        connect_seconds: limit for names, TCP and TLS together.
    """

    host: str
    port: int
    resolver: Resolver
    allows: Callable[[str], bool]
    tls: ssl.SSLContext | None
    connect_seconds: float
    suspects: dict[str, float] = field(default_factory=dict)
    """Address -> the time of the loop's clock until which it is tried last."""

    async def dial(self, make: Callable[[], Connection], deadline: float) -> Connection | Unanswered:
        """Open one connection.

        Args:
            make: makes the protocol of a connection.
            deadline: time of the loop's clock; ``connect_seconds`` may end it before.
        """
        loop = asyncio.get_running_loop()
        seconds = min(self.connect_seconds, deadline - loop.time())
        # Not ``wait_for``: before Python 3.12 it swallows a cancellation that comes with the result.
        dialling = asyncio.ensure_future(self._dial(make))
        try:
            await asyncio.wait({dialling}, timeout=seconds)
        except asyncio.CancelledError:
            _give_up(dialling)
            raise
        if dialling.done():
            return dialling.result()
        _give_up(dialling)
        return Unanswered(FailureKind.TIMEOUT, f"no connection to {self._place} in {seconds:.3g} s")

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port}"

    async def _dial(self, make: Callable[[], Connection]) -> Connection | Unanswered:
        try:
            found = await self.resolver.resolve(self.host, self.port)
        except NameNotResolvedError as error:
            return Unanswered(FailureKind.DNS, str(error))
        allowed = [address for address in found if self.allows(address.number)]
        if not allowed:
            what = f"no address of {self.host} may be dialled" if found else f"{self.host} has no address"
            kind = FailureKind.FORBIDDEN_ADDRESS if found else FailureKind.CONNECT
            return Unanswered(kind, what)
        try:
            connected = await self._connect(allowed)
        except ForbiddenAddressError as error:
            return Unanswered(FailureKind.FORBIDDEN_ADDRESS, str(error))
        except (OSError, RuntimeError) as error:  # uvloop raises the second one
            return Unanswered(FailureKind.CONNECT, f"cannot connect to {self._place}: {error}")
        return await self._speak(connected, make)

    async def _connect(self, addresses: Sequence[Address]) -> socket.socket:
        now = asyncio.get_running_loop().time()
        healthy = [address for address in addresses if self.suspects.get(address.number, now) <= now]
        infos: list[Any] = [
            (address.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address.place)
            for address in (*healthy, *(address for address in addresses if address not in healthy))
        ]
        tried: list[str] = []

        def open_socket(info: Any) -> socket.socket:
            family, kind, protocol, _, place = info
            if not self.allows(place[0]):
                raise ForbiddenAddressError(f"{place[0]} must not be dialled")
            tried.append(place[0])
            return socket.socket(family, kind, protocol)

        connected = await start_connection(
            infos, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1, socket_factory=open_socket
        )
        answered = tried.index(connected.getpeername()[0])
        self.suspects.update(dict.fromkeys(tried[:answered], now + SUSPECT_SECONDS))
        self.suspects.pop(tried[answered], None)
        return connected

    async def _speak(
        self, connected: socket.socket, make: Callable[[], Connection]
    ) -> Connection | Unanswered:
        loop = asyncio.get_running_loop()
        name = None if self.tls is None else self.host.rstrip(".")
        try:
            _, connection = await loop.create_connection(
                make, sock=connected, ssl=self.tls, server_hostname=name
            )
        except (OSError, RuntimeError, ValueError) as error:  # an ssl.SSLError, too
            connected.close()
            if self.tls is None:
                return Unanswered(FailureKind.CONNECT, f"cannot connect to {self._place}: {error}")
            why = f"no TLS with {self._place}: {type(error).__name__}: {error}"
            hint = "" if isinstance(error, ssl.SSLCertVerificationError) else f" ({CUT_OFF_HINT})"
            return Unanswered(FailureKind.TLS, why + hint)
        except BaseException:
            connected.close()
            raise
        return connection


def _give_up(dialling: asyncio.Future[Connection | Unanswered]) -> None:
    """Cancel it; a connection that stands all the same is closed."""

    def close(done: asyncio.Future[Connection | Unanswered]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            if isinstance(found := done.result(), Connection):
                found.abort()

    dialling.cancel()
    dialling.add_done_callback(close)
