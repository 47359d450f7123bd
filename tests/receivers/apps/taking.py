"""What the Python receivers share: the status for a callback, and a ledger of those that were accepted."""

from __future__ import annotations

import os
import time
from pathlib import Path

from eventproc.receiver import CallbackError, CallbackVerifier, Headers

LIMIT = 65_536
SLOW_SECONDS = float(os.environ["SLOW_SECONDS"])
_VERIFIER = CallbackVerifier(os.environ["ANCHOR_SIGNING_KEY"], os.environ["CALLBACK_HOST"])


def status_of(headers: Headers, raw_body: bytes) -> int:
    """What to answer before the event is stored."""
    if len(raw_body) > LIMIT:
        return 413
    try:
        _VERIFIER.verify(headers, raw_body)
    except CallbackError as error:
        return error.http_status
    return 200


def store(event_id: str) -> None:
    """Add a line to the ledger, whole also among processes."""
    with Path(os.environ["LEDGER"]).open("a") as ledger:
        ledger.write(f"{event_id}\n")


def take(path: str, headers: Headers, event_id: str, raw_body: bytes) -> int:
    """Verify, store, and return the status; the path says how long that takes."""
    status = status_of(headers, raw_body)
    if status == 200:
        if path.startswith("/slow"):
            time.sleep(SLOW_SECONDS)
        store(event_id)
    return status
