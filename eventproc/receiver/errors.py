"""Why a callback is not to be trusted.

::

    CallbackError
    ├── MissingSignatureError        neither Signature nor X-Stellar-Signature
    ├── MalformedSignatureError      not t=<unix seconds>, s=<base64>
    ├── SignatureTooOldError         signed longer ago than the tolerance: a clock, a queue, or a replay
    ├── SignatureFromTheFutureError  signed ahead of this clock
    ├── HostMismatchError            signed for another name of this receiver
    └── WrongSignatureError          not these bytes, or not this key
"""

from __future__ import annotations

import enum
from typing import ClassVar, Final

from eventproc.errors import EventprocError


class Reason(enum.Enum):
    """The kinds of ``CallbackError``; the values are for metrics and logs."""

    MISSING_HEADER = "missing_header"
    MALFORMED_HEADER = "malformed_header"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    HOST_MISMATCH = "host_mismatch"
    WRONG_SIGNATURE = "wrong_signature"


class CallbackError(EventprocError):
    """The callback is not to be trusted. Its text shows nothing of the body."""

    reason: ClassVar[Reason]

    http_status: Final = 401
    """The answer to give: the anchor sends the event again later. A 400 would make it give up the event."""


class MissingSignatureError(CallbackError):
    """The request has no signature header."""

    reason = Reason.MISSING_HEADER


class MalformedSignatureError(CallbackError):
    """The header is there and has another form."""

    reason = Reason.MALFORMED_HEADER


class _MistimedSignatureError(CallbackError):
    """The time is too far from this clock's; the signature was not looked at."""

    def __init__(self, message: str, age_seconds: float) -> None:
        super().__init__(message)
        self.age_seconds = age_seconds
        """Below zero: in the future."""


class SignatureTooOldError(_MistimedSignatureError):
    """Signed longer ago than the tolerance."""

    reason = Reason.TOO_OLD


class SignatureFromTheFutureError(_MistimedSignatureError):
    """Signed ahead of this clock by more than the tolerance."""

    reason = Reason.IN_THE_FUTURE


class HostMismatchError(CallbackError):
    """The anchor signed these bytes for ``signed_host``, which this receiver does not go by."""

    reason = Reason.HOST_MISMATCH

    def __init__(self, message: str, signed_host: str) -> None:
        super().__init__(message)
        self.signed_host = signed_host


class WrongSignatureError(CallbackError):
    """The signature is not of these bytes, this host and any of the keys."""

    reason = Reason.WRONG_SIGNATURE
