"""Whether a captured request was signed, or bears a token, as the configuration would have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jwt

from eventproc.receiver import CallbackError
from eventproc.receiver.verifier import is_signed_by, public_key, read_signature
from eventproc.shadow.request import SentRequest
from eventproc.signed_text import LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER, signed_bytes, signed_host

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Proof:
    """What to check with.

    One of ``accounts`` signs to wallets. ``auth``, ``auth_header`` and ``auth_secret`` are the business
    server's; ``link_secrets`` those of ``more_info_url``, by ``sep6`` and ``sep24``.
    """

    accounts: Collection[str] = ()
    auth: Literal["none", "jwt", "api_key"] = "none"
    auth_header: str = "Authorization"
    auth_secret: bytes | None = field(default=None, repr=False)
    link_secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def signature_problem(self, request: SentRequest, hosts: Collection[str]) -> str | None:
        """What is wrong with the signature; None when it is right, or there is no key to check it with.

        The host signed is that of the sender's URL, which a proxy in between may have replaced: any of
        ``hosts``, the request's own and its ``Host`` will do.
        """
        value = request.header(SIGNATURE_HEADER) or request.header(LEGACY_SIGNATURE_HEADER)
        if value is None:
            return "there is none"
        if not self.accounts:
            return None
        try:
            timestamp, signature = read_signature(value)
        except CallbackError as error:
            return str(error)
        known = {*hosts, signed_host(request.url), request.header("Host") or ""} - {""}
        texts = [signed_bytes(timestamp, host, request.body) for host in known]
        keys = [public_key(account) for account in self.accounts]
        if any(is_signed_by(key, signature, text) for key in keys for text in texts):
            return None
        return f"it is not by {' or '.join(self.accounts)} over this body for {' or '.join(sorted(known))}"

    def auth_problem(self, request: SentRequest) -> str | None:
        """What is wrong with the business server's token or key."""
        if self.auth == "none":
            return None
        value = request.header(self.auth_header)
        if value is None:
            return f"there is no {self.auth_header}"
        if self.auth_secret is None:
            return None
        if self.auth == "api_key":
            is_right = value.encode("utf-8", "surrogateescape") == self.auth_secret
            return None if is_right else "it is another key"
        scheme, _, token = value.partition(" ")
        if scheme != "Bearer":
            return "it is not of the form Bearer <jwt>"
        claims = read_token(token, self.auth_secret)
        return claims if isinstance(claims, str) else None

    def link_problem(self, sep: str, token: str) -> str | None:
        """What is wrong with the token in a ``more_info_url``."""
        secret = self.link_secrets.get(sep)
        claims = None if secret is None else read_token(token, secret)
        return claims if isinstance(claims, str) else None


def read_token(token: str, secret: bytes | None) -> dict[str, Any] | str:
    """The claims of an HS256 token, or what is wrong; without ``secret`` the signature is not checked.

    Its time is not looked at: a capture is old.
    """
    options: Any = {"verify_signature": secret is not None, "verify_exp": False, "verify_iat": False}
    key = (secret or b"").ljust(_KEY_BYTES, b"\0")  # changes no signature (RFC 2104)
    try:
        return jwt.decode(token, key, algorithms=["HS256"], options=options)
    except jwt.InvalidSignatureError:
        return "its token is signed with another secret"
    except jwt.InvalidTokenError as error:
        return f"its token cannot be read: {error}"
