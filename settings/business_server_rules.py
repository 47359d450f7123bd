"""Rules on the business server: what it is sent, to which address, and with which proof.

Releases of the Anchor Platform differ in two points that lose every event when they go unnoticed: whether the
business server gets events by default, and whether the path of ``callback_api.base_url`` counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from settings.callback_api import event_url
from settings.findings import Finding, Sources, fits_header, missing_file, short_secret
from settings.model import Settings

ENABLED: Final = "event_processor.callback_api_request.enabled"
_BASE_URL: Final = "callback_api.base_url"
_PATH_MODE: Final = "callback_api.event_path_mode"


def business_server_findings(settings: Settings, sources: Sources) -> Iterator[Finding]:
    """Everything to find about ``callback_api.*`` as a whole."""
    if settings.event_processor.callback_api_request.enabled:
        yield from _access(settings)
        yield from _ambiguous_address(settings, sources)
    elif is_forgotten_default(settings, sources):
        wrong = (
            f"is not set, so the business server at {settings.callback_api.base_url} gets nothing: "
            "the default is false, as in Anchor Platform 3.0 and later; up to 2.12 it was true"
        )
        right = "true if the business server is to receive events, as with 2.12, else false"
        yield Finding(ENABLED, wrong, right, is_warning=True)


def is_forgotten_default(settings: Settings, sources: Sources) -> bool:
    """Whether the business server is set up and left off by a default that up to 2.12 was another."""
    is_off = not settings.event_processor.callback_api_request.enabled
    return is_off and _BASE_URL in sources.given and ENABLED not in sources.given


def empty_addresses(settings: Settings, sources: Sources) -> Iterator[Finding]:
    """An address that is set to nothing: the default would be dialled, which is this machine."""
    processor = settings.event_processor
    needed = {
        "events.queue.kafka.bootstrap_server": settings.events.enabled,
        _BASE_URL: processor.callback_api_request.enabled,
    }
    for key in sources.emptied:
        if needed.get(key, False):
            yield Finding(key, "is empty", "the address, like host:port" if "kafka" in key else "a URL")


def _ambiguous_address(settings: Settings, sources: Sources) -> Iterator[Finding]:
    url = settings.callback_api.base_url
    if urlsplit(url).path in {"", "/"} or _PATH_MODE in sources.given:
        return
    root, append = (event_url(url, mode) for mode in ("root", "append"))
    wrong = (
        f"has a path, and {_PATH_MODE} is not set: events go to {root}, as Anchor Platform 2 sends them; "
        f"3.0 and later send them to {append}"
    )
    right = f"{_PATH_MODE}: append after 3.0 or later, root after 2 (`eventproc doctor` asks both addresses)"
    yield Finding(_BASE_URL, wrong, right, (_PATH_MODE,), is_warning=True)


def _access(settings: Settings) -> Iterator[Finding]:
    api = settings.callback_api
    secret, kind = api.auth.secret, api.auth.type
    looked_at = (ENABLED, "callback_api.auth.type")
    if kind != "none" and secret is None:
        wrong = f"is missing, and callback_api.auth.type is {kind}"
        right = "SECRET_CALLBACK_API_AUTH_SECRET in the environment or .env"
        yield Finding("callback_api.auth.secret", wrong, right, looked_at)
    if kind == "jwt" and secret is not None:
        yield from short_secret("callback_api.auth.secret", secret)
    if kind == "api_key" and secret is not None and not fits_header(secret):
        wrong = "has characters that an HTTP header cannot carry"
        yield Finding("callback_api.auth.secret", wrong, "printable ASCII without line breaks", looked_at)
    for name in ("ca_certificate_path", "client_certificate_path", "client_key_path"):
        yield from missing_file(f"callback_api.{name}", getattr(api, name), (ENABLED,))
    if api.client_key_path is not None and api.client_certificate_path is None:
        wrong = "is missing, and callback_api.client_key_path is set"
        keys = ("callback_api.client_key_path",)
        yield Finding("callback_api.client_certificate_path", wrong, "the certificate of that key", keys)
