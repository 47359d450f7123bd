"""A name for how a destination is reached and who we are to it: changes with its URL, key or certificates.

It stands in a topic, so it holds no secret: of a URL's query, where tokens stand, and of keys only a short
digest (``eventproc.auth.fingerprints``); of certificates, which are public, a whole one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from eventproc.auth.fingerprints import short_digest
from eventproc.destinations.model import Endpoint


def endpoint_fingerprint(endpoint: Endpoint) -> str:
    """Name the URL, the client certificate and the authorities; the files are read now."""
    url, tls = urlsplit(endpoint.url), endpoint.tls
    public = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"
    secret = f"{url.netloc.rpartition('@')[0]}?{url.query}"
    parts = [hashlib.sha256(public.encode("utf-8", "surrogatepass")).hexdigest()[:32], short_digest(secret)]
    if tls.certificate_path is not None or tls.ca_path is not None or not tls.verify:
        parts += [_digest(tls.certificate_path), _digest(tls.ca_path), f"verify={tls.verify}"]
    return " ".join(parts)


def _digest(path: Path | None) -> str:
    if path is None:
        return "-"
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    except OSError:
        return "unreadable"
