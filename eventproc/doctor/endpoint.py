"""One destination, step by step as a request goes: URL, DNS, allowed address, TCP, TLS, answer, clock.

Each step is tried only when the one before went well, so the problem shown is the cause, not a consequence.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from yarl import URL

from eventproc.delivery.example_sender import Answer
from eventproc.destinations import Destination
from eventproc.destinations.business_server import DESTINATION_ID as BUSINESS_SERVER
from eventproc.doctor.certificate import describe_certificate, judge_certificate
from eventproc.doctor.findings import Check, ok, problem, skipped, warning
from eventproc.http.addresses import NameNotResolvedError, Resolver
from eventproc.http.aiohttp_connector import Proxy, guarded_connector
from eventproc.http.egress import EgressPolicy

# The very context that events are sent with: another could find what does not hold for them.
from eventproc.http.tls import CUT_OFF_HINT, ssl_context_of
from eventproc.outcomes import Delivered, Rejected
from settings.delivery import DeliverySettings

SendExample = Callable[[Destination], Awaitable[Answer]]
"""POSTs a signed example event, once."""

_NOTHING_THERE: Final = frozenset({404, 410})
_NETWORK: Final = "look at the firewall, the network policy and whether the receiver is up"


@dataclass(frozen=True, slots=True)
class OtherAddress:
    """Where events would go with another setting, which is the right one if nothing is at the present."""

    url: str
    setting: str
    """What leads there, like ``callback_api.event_path_mode: append``."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found; ``skew_seconds`` is how far the endpoint's clock is ahead of ours, if it tells."""

    checks: list[Check]
    skew_seconds: float | None = None


class _Stop(Exception):  # noqa: N818 - no error: the last check says why
    """No step further."""


async def examine_endpoint(  # noqa: PLR0917 - what one look needs
    destination: Destination,
    delivery: DeliverySettings,
    timeout_seconds: float,
    send_example: SendExample | None,
    resolver: Resolver,
    other: OtherAddress | None = None,
) -> Examined:
    """Every check of one destination; with ``send_example`` it gets an example event, too."""
    walk = _Walk(destination, delivery, timeout_seconds, resolver, post_decides=send_example is not None)
    with contextlib.suppress(_Stop):
        await walk.reach()
        status = await walk.ask()
        if destination.id == BUSINESS_SERVER:
            await walk.compare(status, other)
        if send_example is not None:
            await walk.send(send_example)
    return Examined(walk.checks, walk.skew_seconds)


class _Walk:
    def __init__(
        self,
        destination: Destination,
        delivery: DeliverySettings,
        timeout_seconds: float,
        resolver: Resolver,
        *,
        post_decides: bool,
    ) -> None:
        self.checks: list[Check] = []
        self.skew_seconds: float | None = None
        self._destination = destination
        self._id = destination.id
        self._delivery = delivery
        self._timeout_seconds = timeout_seconds
        self._resolver = resolver
        self._url = URL(destination.endpoint.url, encoded=True)
        self._context: ssl.SSLContext | None = None
        self._post_decides = post_decides

    async def reach(self) -> None:
        """Up to TLS."""
        if self._url.scheme == "https":
            self._load_context()
        else:
            what = "the URL is http: anybody on the way can read the events"
            self.checks.append(warning(self._id, "TLS", what, "use https, except within one machine"))
        if self._delivery.proxy_url is not None:
            what = "the proxy (delivery.proxy_url) resolves and connects"
            self.checks.append(skipped(self._id, "network", what))
            return
        address = await self._connect(await self._resolve())
        if self._context is not None:
            await self._shake_hands(address, self._context)

    async def ask(self) -> int:
        """``OPTIONS``, which changes nothing anywhere; any status shows that an HTTP server is there."""
        before = time.time()
        began = time.monotonic()
        try:
            status, date = await self._options(self._url)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            raise self._stop("answer", _said(error), _NETWORK) from error
        seconds = time.monotonic() - began
        self._note_clock(date, before + seconds / 2)
        what = f"HTTP {status} to OPTIONS in {seconds * 1000:.0f} ms"
        if status >= 500:
            way_out = "the receiver fails; --send-test-event shows whether for events, too"
            self.checks.append(warning(self._id, "answer", what, way_out))
        elif 300 <= status < 400:
            way_out = "redirects are not followed: configure the URL that it leads to"
            self.checks.append(warning(self._id, "answer", what, way_out))
        elif status in _NOTHING_THERE and self._id != BUSINESS_SERVER and not self._post_decides:
            way_out = "is the URL right? Some servers answer so to OPTIONS alone: --send-test-event shows"
            self.checks.append(warning(self._id, "answer", what, way_out))
        else:
            self.checks.append(ok(self._id, "answer", what))
        return status

    async def compare(self, status: int, other: OtherAddress | None) -> None:
        """Whether the server is at this address or at the other that its configuration may mean.

        404 and 410 say that nothing is there; 405 is what a path answers that takes POST alone.
        """
        there = None if other is None else await self._status_at(other.url)
        found = f"{self._destination.endpoint.url} answers HTTP {status}"
        if other is not None:
            found += f", {other.url} {'nothing' if there is None else f'HTTP {there}'}"
        if status not in _NOTHING_THERE or self._post_decides:
            self.checks += [ok(self._id, "address", found)] if other is not None else []
        elif other is not None and there is not None and there not in _NOTHING_THERE:
            way_out = f"set {other.setting}: events would get this answer for ever"
            self.checks.append(problem(self._id, "address", found, way_out))
        else:
            way_out = (
                "correct callback_api.base_url or callback_api.event_path_mode; if the server answers so to "
                "OPTIONS alone, --send-test-event decides"
            )
            self.checks.append(problem(self._id, "address", found, way_out))

    async def _status_at(self, url: str) -> int | None:
        try:
            return (await self._options(URL(url, encoded=True)))[0]
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
            return None

    async def _options(self, url: URL) -> tuple[int, str | None]:
        proxy = Proxy.of(self._delivery)
        async with (
            self._session() as session,
            session.options(
                url,
                allow_redirects=False,
                headers=proxy.request_headers(url.scheme),
                proxy=proxy.url,
                proxy_headers=proxy.headers,
            ) as response,
        ):
            return response.status, response.headers.get("Date")

    async def send(self, send_example: SendExample) -> None:
        """A signed example event."""
        answer = await send_example(self._destination)
        status = f"HTTP {answer.status}" if answer.status else getattr(answer.outcome, "detail", "no answer")
        excerpt = answer.excerpt.decode("utf-8", "replace").strip()[:200]
        what = f"{status} to an example event in {answer.seconds * 1000:.0f} ms" + (
            f": {excerpt}" if excerpt else ""
        )
        if isinstance(answer.outcome, Delivered):
            self.checks.append(ok(self._id, "test event", what))
        elif answer.status in {401, 403}:
            way_out = (
                "the receiver does not accept our proof: compare keys, host and secret (eventproc verify)"
            )
            self.checks.append(problem(self._id, "test event", what, way_out))
        elif answer.status in _NOTHING_THERE:
            way_out = "nothing is at this address: correct the URL; events wait until then"
            self.checks.append(problem(self._id, "test event", what, way_out))
        elif isinstance(answer.outcome, Rejected):
            way_out = (
                "well so if it knows no such transaction; real events refused like this become dead letters"
            )
            self.checks.append(warning(self._id, "test event", what, way_out))
        else:
            self.checks.append(
                problem(self._id, "test event", what, "events wait until the receiver answers 2xx")
            )

    def _load_context(self) -> None:
        try:
            self._context = ssl_context_of(self._destination.endpoint.tls)
        except (OSError, ValueError) as error:
            what = f"our own certificates: {error}"[:300]
            raise self._stop("TLS", what, "check callback_api.*_path: PEM files") from error

    async def _resolve(self) -> list[str]:
        host, port = self._url.host or "", self._url.port or 0
        try:
            found = await asyncio.wait_for(self._resolver.resolve(host, port), self._timeout_seconds)
        except (NameNotResolvedError, asyncio.TimeoutError) as error:
            way_out = "is the host in the URL right? Does this machine use the right DNS?"
            what = str(error) or f"{host}: no answer in time"
            raise self._stop("DNS", what, way_out) from error
        addresses = list(dict.fromkeys(one.number for one in found))
        policy = EgressPolicy.of(self._delivery)
        allowed = [one for one in addresses if policy.allows(one)]
        if not allowed:
            what = f"{host} is {', '.join(addresses[:4])}: link-local, or private while that is not allowed"
            way_out = "use another URL, or set delivery.allowed_networks or delivery.allow_private_networks"
            raise self._stop("address", what, way_out)
        if allowed != [host]:
            self.checks.append(ok(self._id, "DNS", f"{host} is {', '.join(allowed[:4])}"))
        return allowed

    async def _connect(self, addresses: list[str]) -> str:
        port, problems = self._url.port or 0, []
        for address in addresses:
            began = time.monotonic()
            try:
                _, writer = await self._open(address)
            except (OSError, asyncio.TimeoutError) as error:
                problems.append(f"{address}:{port}: {_said(error)}")
                continue
            await _close(writer)
            milliseconds = (time.monotonic() - began) * 1000
            self.checks.append(ok(self._id, "TCP", f"{address}:{port} in {milliseconds:.0f} ms"))
            self.checks += self._half_reachable(problems)
            return address
        raise self._stop("TCP", "; ".join(problems)[:300], _NETWORK)

    def _half_reachable(self, problems: list[str]) -> Iterator[Check]:
        if problems:
            yield warning(self._id, "TCP", "; ".join(problems)[:300], "other addresses of the host answer")

    async def _shake_hands(self, address: str, context: ssl.SSLContext) -> None:
        verifies = context.verify_mode is not ssl.CERT_NONE
        try:
            _, writer = await self._open(address, context)
        except ssl.SSLCertVerificationError as error:
            shown = await self._shown_certificate(address)
            self.checks.append(describe_certificate(self._id, error, shown, self._url.host or ""))
            raise _Stop from error
        except (OSError, asyncio.TimeoutError) as error:
            raise self._stop("TLS", _said(error), CUT_OFF_HINT) from error
        shaken = writer.get_extra_info("ssl_object")
        certificate, version = shaken.getpeercert(binary_form=True), shaken.version()
        await _close(writer)
        self.checks.append(judge_certificate(self._id, certificate, f"{version}"))
        if not verifies:
            what = "the certificate is not verified (callback_api.check_certificate is false)"
            self.checks.append(
                warning(self._id, "TLS", what, "verify it; ca_certificate_path is for private ones")
            )

    async def _shown_certificate(self, address: str) -> bytes | None:
        """What the server shows, believed or not; nothing is sent to it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            _, writer = await self._open(address, context)
        except (OSError, asyncio.TimeoutError):
            return None
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await _close(writer)
        return certificate

    async def _open(
        self, address: str, context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = None if context is None else self._url.host
        opening = asyncio.open_connection(address, self._url.port, ssl=context, server_hostname=name)
        return await asyncio.wait_for(opening, self._timeout_seconds)

    def _session(self) -> aiohttp.ClientSession:
        connector = guarded_connector(
            EgressPolicy.of_connections(self._delivery),
            self._resolver,
            ssl=False if self._context is None else self._context,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            headers={"User-Agent": self._delivery.user_agent},
        )

    def _note_clock(self, date: str | None, at: float) -> None:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            if date is not None:
                # Whole seconds, cut off: half a second is the best guess for the rest.
                self.skew_seconds = parsedate_to_datetime(date).timestamp() + 0.5 - at

    def _stop(self, name: str, what: str, way_out: str) -> _Stop:
        """Notes the problem that ends the walk; to be raised."""
        self.checks.append(problem(self._id, name, what, way_out))
        return _Stop()


def _said(error: Exception) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error)[:300] or type(error).__name__


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1.0)
