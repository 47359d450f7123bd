"""``callback_api.*``: the business server, and how it knows us."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr

from settings.fields import FilePath, HeaderName, Secret, Section, Url
from settings.relaxed import Choice

PathMode = Literal["root", "append"]


class JwtSettings(Section):
    """``callback_api.auth.jwt.*``."""

    # Below five seconds a token can expire between signing and the receiver's check.
    expiration_milliseconds: Annotated[int, Field(ge=5000)]
    http_header: HeaderName


class ApiKeySettings(Section):
    """``callback_api.auth.api_key.*``."""

    http_header: HeaderName


class AuthSettings(Section):
    """``callback_api.auth.*``; the secret is the JWT's key, or the API key itself."""

    type: Annotated[Literal["none", "jwt", "api_key"], Choice()]
    jwt: JwtSettings
    api_key: ApiKeySettings
    secret: Annotated[SecretStr | None, Secret("SECRET_CALLBACK_API_AUTH_SECRET")] = None


class CallbackApiSettings(Section):
    """``callback_api.*``."""

    base_url: Url
    event_path_mode: Annotated[PathMode, Choice()]
    check_certificate: bool
    ca_certificate_path: FilePath | None
    client_certificate_path: FilePath | None
    client_key_path: FilePath | None
    auth: AuthSettings

    @property
    def event_url(self) -> str:
        """Where events go."""
        return event_url(self.base_url, self.event_path_mode)


def event_url(base_url: str, mode: PathMode) -> str:
    """``/event`` at the root of the base URL (AP 2, the guide), or below its path (AP 3.0 and later).

    As in the platform, the second keeps the query of ``base_url`` (okhttp ``addPathSegment``), and the first
    does not.
    """
    parts = urlsplit(base_url)
    if mode == "root":
        return urlunsplit((parts.scheme, parts.netloc, "/event", "", ""))
    path = f"{parts.path.removesuffix('/')}/event"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
