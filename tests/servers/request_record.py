"""What a receiver notes about one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it arrived."""

    number: int  # 1 for the first request of the receiver
    attempt: int  # 1 for the first request with this path and event id
    method: str
    path: str
    headers: Mapping[str, str]  # names in any case
    body: bytes  # the exact bytes
    arrived_at: float  # seconds, monotonic clock
    problem: str | None  # why it could not be verified

    @property
    def verified(self) -> bool:
        """Whether the signature, token or key was right."""
        return self.problem is None

    @property
    def json(self) -> Any:
        """The body as parsed JSON; None when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def event_id(self) -> str | None:
        """From the ``X-Event-Id`` header, else the id of a business server's body."""
        if (header := self.headers.get("X-Event-Id")) is not None:
            return header
        body = self.json
        return body.get("id") if isinstance(body, dict) and "payload" in body else None

    @property
    def transaction_id(self) -> str | None:
        """The transaction's id, in a business server's body as in a wallet's."""
        body = self.json
        if isinstance(body, dict) and isinstance(body.get("payload"), dict):
            body = body["payload"]
        transaction = body.get("transaction") if isinstance(body, dict) else None
        return transaction.get("id") if isinstance(transaction, dict) else None
