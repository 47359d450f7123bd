"""How a receiver checks who sent a request: written from the specifications, not from our code.

A verifier takes the headers and the exact body bytes, and returns what is wrong, or None.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import jwt
from stellar_sdk import Keypair
from stellar_sdk.exceptions import BadSignatureError

Verifier: TypeAlias = Callable[[Mapping[str, str], bytes], str | None]

_SIGNATURE = re.compile(r"t=(\d+), s=([A-Za-z0-9+/]+={0,2})")


def anyone(headers: Mapping[str, str], body: bytes) -> str | None:
    """Believes every request."""
    return None


def stellar_signature(
    public_key: str, hosts: Collection[str], *, header: str = "Signature", max_age_seconds: float = 60.0
) -> Verifier:
    """SEP-24, "Callback signature": ed25519 over ``<t>.<host[:port]>.<body>``.

    Args:
        public_key: the anchor's ``SIGNING_KEY`` (G…).
        hosts: the receiver's own host as its callback URL names it, with the port if the URL has one.
        header: ``Signature``, or the deprecated ``X-Stellar-Signature``.
        max_age_seconds: how far the timestamp may be from now.
    """
    key = Keypair.from_public_key(public_key)

    def verify(headers: Mapping[str, str], body: bytes) -> str | None:
        value = headers.get(header)
        if value is None:
            return f"no {header} header"
        match = _SIGNATURE.fullmatch(value)
        if match is None:
            return f"{header} is not of the form 't=…, s=…': {value!r}"
        timestamp, encoded = match.groups()
        if abs(time.time() - int(timestamp)) > max_age_seconds:
            return f"signed at {timestamp}, more than {max_age_seconds:.0f} s from now"
        try:
            signature = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return f"the signature is not base64: {encoded!r}"
        if any(_is_signed_by(key, f"{timestamp}.{host}.".encode() + body, signature) for host in hosts):
            return None
        return f"the signature fits none of the hosts {', '.join(sorted(hosts))}"

    return verify


def bearer_jwt(secret: str, *, header: str = "Authorization") -> Verifier:
    """The business server's token: HS256 with ``iat`` and ``exp``, not expired."""

    def verify(headers: Mapping[str, str], body: bytes) -> str | None:
        value = headers.get(header)
        if value is None or not value.startswith("Bearer "):
            return f"no bearer token in {header}"
        try:
            with warnings.catch_warnings():
                # The guide's own example has a secret that PyJWT finds short.
                warnings.simplefilter("ignore")
                jwt.decode(
                    value.removeprefix("Bearer "),
                    secret,
                    algorithms=["HS256"],
                    options={"require": ["iat", "exp"]},
                )
        except jwt.InvalidTokenError as error:
            return f"the token in {header} is not valid: {error}"
        return None

    return verify


def api_key(secret: str, *, header: str = "X-Api-Key") -> Verifier:
    """The business server's API key."""

    def verify(headers: Mapping[str, str], body: bytes) -> str | None:
        value = headers.get(header)
        if value is None:
            return f"no {header} header"
        return None if hmac.compare_digest(value.encode(), secret.encode()) else f"wrong key in {header}"

    return verify


def _is_signed_by(key: Keypair, data: bytes, signature: bytes) -> bool:
    try:
        key.verify(data, signature)
    except BadSignatureError:
        return False
    return True
