"""Is this callback the anchor's? Headers and the body's bytes in, a verified callback or an error out.

Nothing here knows a framework: headers come in any of the forms that ``request_headers`` reads.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from eventproc.receiver.errors import (
    HostMismatchError,
    MalformedSignatureError,
    MissingSignatureError,
    SignatureFromTheFutureError,
    SignatureTooOldError,
    WrongSignatureError,
)
from eventproc.receiver.request_headers import Headers, by_name, names_of_receiver
from eventproc.signed_text import EVENT_ID_HEADER, LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER, signed_bytes
from eventproc.strkey import decode_account

TOLERANCE_SECONDS: Final = 60.0
"""The SEPs say one or two minutes."""

_TOKEN: Final = re.compile(rb'("more_info_url"\s*:\s*"[^"?]*)\?[^"]*')
_FORM: Final = re.compile(r"t=([0-9]{1,11})\s*,\s*s=([A-Za-z0-9+/]{86}==)", re.ASCII)


@dataclass(frozen=True, slots=True)
class VerifiedCallback:
    """A callback that the anchor signed."""

    event_id: str | None
    """As the header says, which is not signed: no key for duplicates by itself, see ``duplicate_key``. None
    from a sender that gives none (the Anchor Platform)."""
    signed_at: datetime
    payload_bytes: bytes = field(repr=False)
    """The body, as verified: parse this."""

    @property
    def duplicate_key(self) -> str | None:
        """What to recognise a duplicate by: the event's id with the body that is signed; None without an id.

        By the id alone, a recorded callback that is sent with the id of another event would suppress that
        one. The body alone would take a return to an earlier state for a duplicate. The query of
        ``more_info_url`` does not count, as it has a new token at every attempt.
        """
        if self.event_id is None:
            return None
        body = _TOKEN.sub(rb"\1", self.payload_bytes)
        return hashlib.sha256(self.event_id.encode("utf-8", "replace") + b"\n" + body).hexdigest()


class CallbackVerifier:
    """Verifies the callbacks to one receiver.

    Args:
        signing_key: the anchor's account (``G…``), ``SIGNING_KEY`` in its stellar.toml. Several while it
            changes its key. Raises StrkeyError for what is none.
        host: the host of your callback URL as you gave it to the anchor, with ``:port`` if the URL names one.
            Several if you have URLs on several hosts. Not what a request says: a proxy may have changed that.
        tolerance_seconds: how far the signature's time may be from this clock, to either side.
        clock: seconds since the epoch.
    """

    __slots__ = ("_clock", "_hosts", "_keys", "_tolerance_seconds")

    def __init__(
        self,
        signing_key: str | Collection[str],
        host: str | Collection[str],
        *,
        tolerance_seconds: float = TOLERANCE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = [public_key(one) for one in _several(signing_key, "signing_key")]
        self._hosts = _several(host, "host")
        self._tolerance_seconds = tolerance_seconds
        self._clock = clock
        for one in self._hosts:
            if "/" in one:
                raise ValueError(
                    f"host {one!r} is no host: leave out https:// and the path, keep :port if any"
                )

    def verify(self, headers: Headers, raw_body: bytes) -> VerifiedCallback:
        """Return the callback if the anchor signed it, not long ago, for this host.

        Args:
            headers: the request's: your framework's object, a mapping, pairs, or a WSGI environ.
            raw_body: the bytes as they came, before anything parsed them.

        Raises:
            CallbackError: it is not to be trusted; the subclass and ``reason`` say why.
            TypeError: the body is text. Decoding and encoding it again may have changed it.
        """
        if not isinstance(raw_body, (bytes, bytearray, memoryview)):
            raise TypeError(f"raw_body is {type(raw_body).__name__}, not bytes: pass the body as it came")
        body, values = bytes(raw_body), by_name(headers)
        timestamp, signature = read_signature(signature_header(values))
        self._check_time(timestamp)
        self._check_signature(timestamp, signature, body, values)
        return VerifiedCallback(
            values.get(EVENT_ID_HEADER.lower()), datetime.fromtimestamp(timestamp, timezone.utc), body
        )

    def _check_time(self, timestamp: int) -> None:
        age_seconds = self._clock() - timestamp
        if age_seconds > self._tolerance_seconds:
            raise SignatureTooOldError(
                f"signed {age_seconds:.0f} s ago, {self._tolerance_seconds:g} s are allowed: "
                "look at this clock, and verify before you queue",
                age_seconds,
            )
        if age_seconds < -self._tolerance_seconds:
            raise SignatureFromTheFutureError(
                f"signed {-age_seconds:.0f} s in the future: this clock or the anchor's is wrong", age_seconds
            )

    def _check_signature(
        self, timestamp: int, signature: bytes, body: bytes, headers: Mapping[str, str]
    ) -> None:
        if any(self._is_signed(timestamp, host, body, signature) for host in self._hosts):
            return
        for host in _other_names(self._hosts, headers):
            if self._is_signed(timestamp, host, body, signature):
                expected = " or ".join(self._hosts)
                raise HostMismatchError(
                    f"signed for the host {host}, expected {expected}: the host is that of the callback URL "
                    "that the anchor has, with its port if it names one",
                    host,
                )
        raise WrongSignatureError(
            "the signature is not of these bytes, this host and this key: `eventproc verify` tells which"
        )

    def _is_signed(self, timestamp: int, host: str, body: bytes, signature: bytes) -> bool:
        text = signed_bytes(timestamp, host, body)
        return any(is_signed_by(key, signature, text) for key in self._keys)


def signature_header(values: Mapping[str, str]) -> str:
    """The header to read among headers in lower case: the deprecated one only where the other is missing.

    Raises:
        MissingSignatureError: neither is there.
    """
    for name in (SIGNATURE_HEADER, LEGACY_SIGNATURE_HEADER):
        if (value := values.get(name.lower())) is not None:
            return value
    raise MissingSignatureError(f"no {SIGNATURE_HEADER} header, and no {LEGACY_SIGNATURE_HEADER}")


def read_signature(header: str) -> tuple[int, bytes]:
    """Timestamp in seconds since the epoch, and the 64 bytes of the signature.

    Raises:
        MalformedSignatureError: the value has another form.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None:
        raise MalformedSignatureError(f"{SIGNATURE_HEADER} is not of the form t=<unix seconds>, s=<base64>")
    return int(found[1]), base64.b64decode(found[2])


def public_key(account: str) -> Ed25519PublicKey:
    """The key of a ``G…`` account. Raises StrkeyError."""
    return Ed25519PublicKey.from_public_bytes(decode_account(account.strip()))


def is_signed_by(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    """Whether the signature is this key's, of these bytes."""
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _several(given: str | Collection[str], name: str) -> tuple[str, ...]:
    values = (given,) if isinstance(given, str) else tuple(given)
    if not values or not all(values):
        raise ValueError(f"{name} is empty: nothing would ever verify")
    return values


def _other_names(hosts: Collection[str], headers: Mapping[str, str]) -> list[str]:
    """A few names that a misconfigured receiver may go by; few, because any sender can make us try them."""
    names = list(names_of_receiver(headers))
    names += [_without_port(name) for name in (*hosts, *names)]
    return [name for name in dict.fromkeys(names) if name not in hosts][:8]


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]*$", "", host, flags=re.ASCII)
