"""What to do about answers that common servers give to every request of a wrong set-up.

Their own words are in the first bytes of the body. A new one is a line in ``_KNOWN``.
"""

from __future__ import annotations

from typing import Final

_TLS_PORT: Final = "this port speaks TLS and the URL is http://; use https://"
_CERTIFICATE: Final = (
    "the receiver requires a client certificate: set callback_api.client_certificate_path and client_key_path"
)
_HOST: Final = "the receiver's application does not know the URL's host: add it to ALLOWED_HOSTS there"

_KNOWN: Final = (
    (b"plain http request was sent to https port", _TLS_PORT),  # nginx
    (b"speaking plain http to an ssl-enabled server port", _TLS_PORT),  # Apache
    (b"client sent an http request to an https server", _TLS_PORT),  # Go
    (b"combination of host and port requires tls", _TLS_PORT),  # Tomcat, Spring Boot
    (b"no required ssl certificate was sent", _CERTIFICATE),  # nginx
    (b"the ssl certificate error", _CERTIFICATE),  # nginx, one that it does not trust
    (b"disallowedhost", _HOST),  # Django, DEBUG
    (b"invalid http_host header", _HOST),  # Django, DEBUG
    (b"<h1>bad request (400)</h1>", f"if the receiver is Django: {_HOST}"),  # its page without DEBUG
)


def hint_of(excerpt: bytes) -> str | None:
    """Return what to do about a rejection with these first bytes; None: it is no known one."""
    text = excerpt.lower()
    return next((hint for words, hint in _KNOWN if words in text), None)


def detail_of(status: int, excerpt: bytes) -> str:
    """Describe a rejection in one line."""
    hint = hint_of(excerpt)
    return f"HTTP {status}" if hint is None else f"HTTP {status}: {hint}"
