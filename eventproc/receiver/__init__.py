"""The receiver kit: verify a callback in three lines, in any framework.

::

    verifier = CallbackVerifier(signing_key="G…", host="wallet.example.com")
    callback = verifier.verify(request.headers, raw_body)  # raises CallbackError
    if callback.duplicate_key not in seen: ...

It needs ``cryptography`` and the standard library, nothing else of what this project installs.
``eventproc.receiver.diagnose`` says what is wrong with a callback that does not verify.
"""

from eventproc.receiver.errors import (
    CallbackError,
    HostMismatchError,
    MalformedSignatureError,
    MissingSignatureError,
    Reason,
    SignatureFromTheFutureError,
    SignatureTooOldError,
    WrongSignatureError,
)
from eventproc.receiver.request_headers import Headers
from eventproc.receiver.seen import SeenEvents
from eventproc.receiver.verifier import CallbackVerifier, VerifiedCallback

__all__ = [
    "CallbackError",
    "CallbackVerifier",
    "Headers",
    "HostMismatchError",
    "MalformedSignatureError",
    "MissingSignatureError",
    "Reason",
    "SeenEvents",
    "SignatureFromTheFutureError",
    "SignatureTooOldError",
    "VerifiedCallback",
    "WrongSignatureError",
]
