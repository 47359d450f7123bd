"""Fetches a stellar.toml from a file or over HTTPS: a bounded number of bytes within a bounded time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from eventproc.destinations import TlsOptions
from eventproc.http.aiohttp_connector import guarded_connector
from eventproc.http.egress import EgressPolicy
from eventproc.http.resolver import open_resolver
from eventproc.http.tls import ssl_context_of
from eventproc.stellar_toml import MAX_BYTES, PATH, StellarToml, StellarTomlError, parse_stellar_toml

_REDIRECTS: Final = 3


def stellar_toml_url(home_domain: str) -> str:
    """Where a domain's file is: ``https://<domain>/.well-known/stellar.toml``; the domain may have a port."""
    return f"https://{home_domain.strip().removeprefix('https://').rstrip('/')}{PATH}"


async def read_stellar_toml(
    where: str, *, timeout_seconds: float, ca_path: Path | None = None
) -> StellarToml:
    """Read it from a path or an ``https://`` URL.

    Args:
        where: the path or URL.
        timeout_seconds: for all of it.
        ca_path: a PEM file of the certificates to believe; None: the system's.

    Raises:
        StellarTomlError: it is not there, not in time, or cannot be read.
    """
    if not where.startswith(("https://", "http://")):
        try:
            content = await asyncio.to_thread(Path(where).read_bytes)
        except OSError as error:
            raise StellarTomlError(f"{where}: {error.strerror}") from error
        return parse_stellar_toml(content, where)
    if urlsplit(where).scheme != "https":
        raise StellarTomlError(f"{where}: SEP-1 wants https, as anybody on the way could change the key")
    try:
        content = await asyncio.wait_for(_fetch(where, ca_path), timeout_seconds)
    except asyncio.TimeoutError:
        raise StellarTomlError(f"{where}: no answer within {timeout_seconds:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise StellarTomlError(f"{where}: {error or type(error).__name__}"[:300]) from error
    return parse_stellar_toml(content, where)


async def _fetch(url: str, ca_path: Path | None) -> bytes:
    context = ssl_context_of(TlsOptions(ca_path=ca_path))
    async with (
        aclosing(open_resolver()) as resolver,
        aiohttp.ClientSession(
            connector=guarded_connector(EgressPolicy(allow_private=True), resolver, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session,
        session.get(url, max_redirects=_REDIRECTS) as response,
    ):
        if response.status != 200:
            raise StellarTomlError(f"{url}: answers {response.status}")
        if response.url.scheme != "https":
            raise StellarTomlError(f"{url}: leads to {response.url}, which is not https")
        content = b""
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > MAX_BYTES:
                break
        return content
