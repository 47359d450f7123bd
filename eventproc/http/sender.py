"""Step 7 – send: one POST to one endpoint, and what came of it.

No redirects (a signature must not wander to another host), no cookies, no proxy from the environment, the
response read up to a bound, and kept without what we sent to prove who we are. Whatever aiohttp raises
becomes a ``NoResponse`` here and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from eventproc.destinations import Endpoint
from eventproc.http.aiohttp_internals import PostResponse, PreparedPost
from eventproc.http.egress import EgressPolicy, ForbiddenAddressError, guarded_connector
from eventproc.http.tls import ssl_context_of
from eventproc.outcomes import FailureKind, NoResponse, Response
from eventproc.scrubbing import scrub
from settings.delivery import DeliverySettings

SUCCESS_BODY_SECONDS: Final = 1.0
"""How long the body of a 2xx is awaited, only to keep the connection; the event is delivered either way."""

_EXPECTED: Final = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)

TOKEN_CHARACTERS: Final = 8
"""Of a value in a URL's query that may be a token by itself; below stand ``true`` and ``testnet``."""


class Sender(Protocol):
    """One endpoint to send to."""

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """POST once. Expected failures come back, they are not raised."""

    async def close(self) -> None:
        """Close the connections."""


class HttpSender:
    """aiohttp with a connection pool of its own, made at the first send."""

    def __init__(
        self, endpoint: Endpoint, delivery: DeliverySettings, resolver: AbstractResolver | None = None
    ) -> None:
        self._url = URL(endpoint.url, encoded=True)
        self._in_query = _tokens_of(self._url)
        self._tls = endpoint.tls
        self._delivery = delivery
        self._excerpt_bytes = delivery.response_excerpt_bytes
        self._post: PreparedPost | None = None
        self._resolver = resolver
        self._forbidden = EgressPolicy.of(delivery).forbids_host(self._url.host or "")

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """POST once, within ``delivery.request_timeout_seconds`` all in all."""
        if self._forbidden:
            return NoResponse(FailureKind.FORBIDDEN_ADDRESS, f"{self._url.host} must not be dialled")
        try:
            response = await (self._post or self._open()).send(headers, body)
        except _EXPECTED as error:
            return _no_response(error, headers | self._in_query)
        try:
            excerpt = await self._read(response)
        finally:
            response.end()
        if response.status >= 300:
            excerpt = scrub(excerpt, headers | self._in_query)
        return Response(response.status, response.headers.get("Retry-After"), excerpt)

    async def close(self) -> None:
        """Close the connections; a later send opens new ones."""
        if self._post is not None:
            connector, self._post = self._post.connector, None
            await connector.close()

    async def _read(self, response: PostResponse) -> bytes:
        """The first bytes of the body. The verdict is in the status: a body that fails is an empty one."""
        content = response.content
        try:
            if content.is_eof():
                return await content.read(self._excerpt_bytes)
            loop = asyncio.get_running_loop()
            at = response.deadline
            if response.status < 300:
                at = min(at, loop.time() + SUCCESS_BODY_SECONDS)
            # Not ``wait_for``: before Python 3.12 it swallows a cancellation that comes with the body's end.
            timer = loop.call_at(at, content.set_exception, aiohttp.SocketTimeoutError())
            try:
                return await self._read_until_bound(content)
            finally:
                timer.cancel()
        except (*_EXPECTED, RuntimeError):  # aiohttp raises the last one where the connection is closed
            return b""

    async def _read_until_bound(self, content: aiohttp.StreamReader) -> bytes:
        excerpt = b""
        while len(excerpt) < self._excerpt_bytes and not content.at_eof():
            excerpt += await content.read(self._excerpt_bytes - len(excerpt))
        return excerpt

    def _open(self) -> PreparedPost:
        delivery = self._delivery
        connector = guarded_connector(
            EgressPolicy.of_connections(delivery),
            self._resolver,
            limit=delivery.max_in_flight,
            ssl=ssl_context_of(self._tls) if self._url.scheme == "https" else False,
            ttl_dns_cache=30,
        )
        self._post = PreparedPost(
            self._url,
            connector,
            {"User-Agent": delivery.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"},
            request_seconds=delivery.request_timeout_seconds,
            connect_seconds=delivery.connect_timeout_seconds,
            proxy=delivery.proxy_url,
        )
        return self._post


def _tokens_of(url: URL) -> dict[str, str]:
    """What of an address may be a secret, as ``scrub`` wants it: the query, and each value in it.

    aiohttp's errors name the address in full, and so do receivers that find nothing there.
    """
    values = {f"?{name}": value for name, value in url.query.items() if len(value) >= TOKEN_CHARACTERS}
    return {"?": url.raw_query_string, **values}


def _no_response(error: Exception, sent: Mapping[str, str]) -> NoResponse:
    cause = error.__cause__ or error
    if isinstance(cause, ForbiddenAddressError) or isinstance(error, ForbiddenAddressError):
        return NoResponse(FailureKind.FORBIDDEN_ADDRESS, str(cause))
    if isinstance(error, asyncio.TimeoutError):
        return NoResponse(FailureKind.TIMEOUT, "no answer in time")
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)) or isinstance(cause, ssl.SSLError):
        return NoResponse(FailureKind.TLS, _brief(error, sent))
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return NoResponse(FailureKind.CONNECT, _brief(error, sent))
    return NoResponse(FailureKind.PROTOCOL, _brief(error, sent))


def _brief(error: Exception, sent: Mapping[str, str]) -> str:
    """A malformed answer is quoted by the error, and may hold what was sent; so is the address."""
    text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
    return scrub(text, sent)[:300].decode("utf-8", "ignore")
