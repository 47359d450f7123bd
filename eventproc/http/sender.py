"""Step 7 – send: one POST to one endpoint, and what came of it.

No redirects (a signature must not wander to another host), no cookies, no proxy from the environment, nothing
decompressed, the response read up to a bound, and kept without what we sent to prove who we are.

Two senders keep these promises (``tests/contract``): ``HttpSender`` here, and ``AiohttpSender``, which
speaks to proxies and is there to fall back on (``delivery.http_client``).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from yarl import URL

from eventproc.destinations import Endpoint
from eventproc.http.addresses import Resolver
from eventproc.http.aiohttp_sender import AiohttpSender
from eventproc.http.connection import Answer, Connection, Result, Unanswered
from eventproc.http.crowding import Crowding
from eventproc.http.dialer import Dialer
from eventproc.http.egress import EgressPolicy
from eventproc.http.masking import Masking
from eventproc.http.pool import Pool
from eventproc.http.request_head import RequestHead
from eventproc.http.resolver import CachingResolver, open_resolver
from eventproc.http.tls import ssl_context_of
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings.delivery import DeliverySettings


class Sender(Protocol):
    """One endpoint to send to."""

    @property
    def limit(self) -> int | None:
        """How many requests at once the receiver serves; None: no bound is known."""

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """POST once. Expected failures come back, they are not raised."""

    async def close(self) -> None:
        """Close the connections."""


def make_sender(endpoint: Endpoint, delivery: DeliverySettings, resolver: Resolver | None = None) -> Sender:
    """Make the sender that the settings ask for.

    Args:
        endpoint: where to.
        delivery: limits, egress, proxy and ``http_client``.
        resolver: finds addresses; None: one of the sender's own.
    """
    if delivery.proxy_url is not None or delivery.http_client == "aiohttp":
        return AiohttpSender(endpoint, delivery, resolver)
    return HttpSender(endpoint, delivery, resolver)


class HttpSender:
    """Connections of our own to one endpoint, opened at the first send.

    Args:
        endpoint: where to.
        delivery: limits and egress.
        resolver: finds addresses; None: one of the sender's own.
    """

    def __init__(
        self, endpoint: Endpoint, delivery: DeliverySettings, resolver: Resolver | None = None
    ) -> None:
        self._url = URL(endpoint.url, encoded=True)
        self._tls = endpoint.tls
        self._delivery = delivery
        self._resolver: Resolver
        self._own_resolver: CachingResolver | None = None
        if resolver is None:
            self._resolver = self._own_resolver = open_resolver(delivery.name_servers)
        else:
            self._resolver = resolver
        self._masking = Masking(self._url)
        self._policy = EgressPolicy.of(delivery)
        self._forbidden = self._policy.forbids_host(self._url.host or "")
        self._request_seconds = delivery.request_timeout_seconds
        defaults = {"User-Agent": delivery.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        self._head = RequestHead(self._url, defaults)
        self._crowding = Crowding(delivery.max_in_flight)
        self._pool: Pool | None = None

    @property
    def limit(self) -> int | None:
        """How many requests at once the receiver serves; None: no bound is known."""
        return self._crowding.limit

    async def send(self, headers: dict[str, str], body: bytes) -> Response | NoResponse:
        """POST once, within ``delivery.request_timeout_seconds`` all in all."""
        if self._forbidden:
            detail = f"{self._url.host} must not be dialled"
            return NoResponse(FailureKind.FORBIDDEN_ADDRESS, detail, was_sent=False)
        try:
            head = self._head.of(headers, len(body))
        except ValueError as error:
            return NoResponse(FailureKind.PROTOCOL, self._masking.detail(str(error), b"", headers))
        result = await self._exchange(head, body)
        if isinstance(result, Unanswered):
            detail = self._masking.detail(result.problem, result.received, headers)
            return NoResponse(result.kind, detail, result.was_sent)
        return self._response(result, headers)

    async def close(self) -> None:
        """Close the connections; a later send opens new ones."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.close()
        if self._own_resolver is not None:
            await self._own_resolver.aclose()

    async def _exchange(self, head: bytes, body: bytes) -> Result:
        pool = self._pool
        if pool is None:
            try:
                pool = self._pool = self._open_pool()
            except (OSError, ValueError) as error:  # an ssl.SSLError is one of the first
                problem = f"our certificates cannot be used: {error}"
                return Unanswered(FailureKind.TLS, problem, was_sent=False)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._request_seconds
        connection = pool.take() or await pool.connect(deadline)
        if not isinstance(connection, Connection):
            return connection._replace(was_sent=False)
        if loop.time() >= deadline:
            connection.abort()
            return Unanswered(FailureKind.TIMEOUT, "no connection in time", was_sent=False)
        answered = connection.post(head, body, deadline)
        try:
            return await answered
        except asyncio.CancelledError:
            if answered.cancelled():  # else the connection is idle again, or another request's
                connection.abort()
            raise

    def _response(self, answer: Answer, headers: dict[str, str]) -> Response:
        status, found, excerpt = answer
        if status < 300:
            return Response(status, None, excerpt)
        kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.items()}
        location = kept.get("location")
        return Response(
            status,
            kept.get("retry-after"),
            self._masking.excerpt(excerpt, headers),
            kept.get("date"),
            None if location is None else self._masking.location(location, headers),
        )

    def _open_pool(self) -> Pool:
        url, delivery = self._url, self._delivery
        dialer = Dialer(
            host=url.raw_host or "",
            port=url.port or 0,
            resolver=self._resolver,
            allows=self._policy.allows,
            tls=ssl_context_of(self._tls) if url.scheme == "https" else None,
            connect_seconds=delivery.connect_timeout_seconds,
        )
        return Pool(dialer.dial, delivery.response_excerpt_bytes, self._crowding)
