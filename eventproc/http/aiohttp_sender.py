"""The sender by aiohttp's client, in its plain form: for proxies, and to fall back on.

It keeps the promises of ``HttpSender`` as far as aiohttp's public API goes. What it cannot keep has a name
in ``tests/contract/senders.py``: heads that break the grammar are failures, interim responses have no bound
but the request's time, and idle connections are kept for a fixed time.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from typing import Final

import aiohttp
from yarl import URL

from eventproc.destinations import Endpoint
from eventproc.http.addresses import NameNotResolvedError, Resolver
from eventproc.http.aiohttp_connector import Proxy, guarded_connector
from eventproc.http.connection import SUCCESS_BODY_SECONDS, WRITTEN_AT_ONCE_BYTES
from eventproc.http.egress import EgressPolicy, ForbiddenAddressError
from eventproc.http.masking import Masking
from eventproc.http.resolver import CachingResolver, open_resolver
from eventproc.http.response_reader import RESPONSE_BYTES
from eventproc.http.tls import CUT_OFF_HINT, ssl_context_of
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings.delivery import DeliverySettings

IDLE_SECONDS: Final = 4.0
"""Most receivers keep idle connections for 5 s or more; aiohttp cannot learn how long."""

HEADERS: Final = 500

_EXPECTED: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)

_BEFORE_THE_REQUEST: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What aiohttp raises when there is no connection to send a request on."""


class AiohttpSender:
    """One ``aiohttp.ClientSession`` for one endpoint, opened at the first send.

    Args:
        endpoint: where to.
        delivery: limits, egress and proxy.
        resolver: finds addresses, the endpoint's or the proxy's; None: one of the sender's own.
    """

    limit: Final = None
    """No bound is known of a receiver."""

    def __init__(
        self, endpoint: Endpoint, delivery: DeliverySettings, resolver: Resolver | None = None
    ) -> None:
        self._url = URL(endpoint.url, encoded=True)
        self._tls = endpoint.tls
        self._delivery = delivery
        self._excerpt_bytes = delivery.response_excerpt_bytes
        self._resolver: Resolver
        self._own_resolver: CachingResolver | None = None
        if resolver is None:
            self._resolver = self._own_resolver = open_resolver(delivery.name_servers)
        else:
            self._resolver = resolver
        self._proxy = Proxy.of(delivery)
        self._masking = Masking(self._url)
        self._forbidden = EgressPolicy.of(delivery).forbids_host(self._url.host or "")
        self._session: aiohttp.ClientSession | None = None

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """POST once, within ``delivery.request_timeout_seconds`` all in all."""
        if self._forbidden:
            detail = f"{self._url.host} must not be dialled"
            return NoResponse(FailureKind.FORBIDDEN_ADDRESS, detail, was_sent=False)
        headers = {**headers, **self._proxy.request_headers(self._url.scheme)}
        deadline = asyncio.get_running_loop().time() + self._delivery.request_timeout_seconds
        try:
            session = self._session or self._open()
            response = await session.post(
                self._url,
                data=body if len(body) <= WRITTEN_AT_ONCE_BYTES else io.BytesIO(body),
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy.url,
                proxy_headers=self._proxy.headers,
            )
        except _EXPECTED as error:
            _forget_frames(error)
            return self._no_response(error, headers)
        try:
            excerpt = await self._read(response, deadline)
        finally:
            response.release() if response.content.at_eof() else response.close()
        if response.status < 300:
            return Response(response.status, None, excerpt)
        location = response.headers.get("Location")
        return Response(
            response.status,
            response.headers.get("Retry-After"),
            self._masking.excerpt(excerpt, headers),
            response.headers.get("Date"),
            None if location is None else self._masking.location(location, headers),
        )

    async def close(self) -> None:
        """Close the connections; a later send opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
        if self._own_resolver is not None:
            await self._own_resolver.aclose()

    async def _read(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        """The first bytes of the body; the verdict is in the status, so a body that fails ends there."""
        loop = asyncio.get_running_loop()
        content = response.content
        if response.status < 300:
            deadline = min(deadline, loop.time() + SUCCESS_BODY_SECONDS)
        excerpt, received = b"", 0
        # Not ``wait_for``: before Python 3.12 it swallows a cancellation that comes with the body's end.
        timer = loop.call_at(deadline, content.set_exception, aiohttp.SocketTimeoutError())
        try:
            while received < RESPONSE_BYTES and (piece := await content.readany()):
                received += len(piece)
                excerpt += piece[: self._excerpt_bytes - len(excerpt)]
        except (*_EXPECTED, RuntimeError):  # aiohttp raises the last one where the connection is closed
            pass
        finally:
            timer.cancel()
        return excerpt

    def _open(self) -> aiohttp.ClientSession:
        delivery = self._delivery
        connector = guarded_connector(
            EgressPolicy.of_connections(delivery),
            self._resolver,
            limit=delivery.max_in_flight,
            ssl=ssl_context_of(self._tls) if self._url.scheme == "https" else False,
            keepalive_timeout=IDLE_SECONDS,
            use_dns_cache=False,  # the resolver keeps what it found
        )
        headers = {"User-Agent": delivery.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            max_line_size=RESPONSE_BYTES,
            max_field_size=RESPONSE_BYTES,
            max_headers=HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=delivery.request_timeout_seconds, sock_connect=delivery.connect_timeout_seconds
            ),
        )
        return self._session

    def _no_response(self, error: Exception, headers: dict[str, str]) -> NoResponse:
        cause = error.__cause__ or error
        was_sent = not isinstance(error, _BEFORE_THE_REQUEST)
        if isinstance(error, ForbiddenAddressError) or isinstance(cause, ForbiddenAddressError):
            return NoResponse(FailureKind.FORBIDDEN_ADDRESS, str(cause), was_sent=False)
        if isinstance(cause, NameNotResolvedError):
            return NoResponse(FailureKind.DNS, str(cause), was_sent=False)
        if isinstance(error, asyncio.TimeoutError):
            return NoResponse(FailureKind.TIMEOUT, "no answer in time", was_sent)
        detail = self._masking.detail(f"{type(error).__name__}: {error}", b"", headers)
        if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)) or isinstance(cause, ssl.SSLError):
            is_certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
            hint = "" if is_certificate else f" ({CUT_OFF_HINT})"
            return NoResponse(FailureKind.TLS, detail + hint, was_sent)
        if self._url.scheme == "https" and isinstance(
            getattr(error, "os_error", None), (ConnectionResetError, ConnectionAbortedError)
        ):  # TCP stood, so it is the handshake that was cut off
            return NoResponse(FailureKind.TLS, f"{detail} ({CUT_OFF_HINT})", was_sent)
        if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
            return NoResponse(FailureKind.CONNECT, detail, was_sent)
        return NoResponse(FailureKind.PROTOCOL, detail)


def _forget_frames(error: BaseException | None) -> None:
    """Drop the tracebacks: aiohttp's frames hold the error, and the error's frames hold the body.

    Only the search for cycles would free them, which is rare here (``garbage.py``): 320 MB of bodies of
    0.9 MB were left after seconds of refused connections.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
