"""How an endpoint is trusted, and what it is shown: one context for all that have the same options."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from eventproc.destinations import Destination, TlsOptions
from eventproc.errors import ConfigurationError

CUT_OFF_HINT: Final = (
    "is this port TLS at all? Does the receiver speak only TLS 1.1 or older, or want a certificate of ours?"
)


@lru_cache  # some ten milliseconds and a megabyte each: a thousand wallets share one
def ssl_context_of(tls: TlsOptions) -> ssl.SSLContext:
    """How an endpoint is trusted and what it is shown; raises OSError or ValueError for files of no use."""
    context = ssl.create_default_context(cafile=tls.ca_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate_path is not None:
        context.load_cert_chain(tls.certificate_path, tls.key_path, password="")  # never asked on a terminal
    return context


def read_certificates(destinations: Iterable[Destination]) -> None:
    """Read the files of these destinations' TLS anew: senders that connect for the first time take them.

    Raises:
        ConfigurationError: some cannot be used; nothing has changed then.
    """
    for destination in {one.endpoint.tls: one for one in destinations}.values():
        try:
            ssl_context_of.__wrapped__(destination.endpoint.tls)
        except (OSError, ValueError) as error:  # noqa: PERF203 - few differ
            problem = f"{destination.id}: its certificates cannot be used: {error}; right: readable PEM files"
            raise ConfigurationError([problem]) from error
    ssl_context_of.cache_clear()
