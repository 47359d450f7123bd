"""``callback_api.*``: the business server, and how it knows us."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from settings.fields import FilePath, HeaderName, LowerCase, Secret, Section, Url


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

    type: Annotated[Literal["none", "jwt", "api_key"], LowerCase]
    jwt: JwtSettings
    api_key: ApiKeySettings
    secret: Annotated[SecretStr | None, Secret("SECRET_CALLBACK_API_AUTH_SECRET")] = None


class CallbackApiSettings(Section):
    """``callback_api.*``."""

    base_url: Url
    event_path_mode: Annotated[Literal["root", "append"], LowerCase]
    check_certificate: bool
    ca_certificate_path: FilePath | None
    client_certificate_path: FilePath | None
    client_key_path: FilePath | None
    auth: AuthSettings
