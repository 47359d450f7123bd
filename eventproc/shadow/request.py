"""One request to a destination: sent by somebody, or written down by a shadow worker instead."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from eventproc.identifiers import DestinationId
from eventproc.times import iso


@dataclass(frozen=True, slots=True)
class SentRequest:
    """What went out, byte for byte; of a capture some of it may not be known.

    ``headers`` are by name as sent; None where the capture has none. ``is_right`` is what a receiver found
    when it checked signature or token, None where nobody did.
    """

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] | None = None
    destination: DestinationId | None = None
    at: datetime | None = None
    method: str = "POST"
    is_right: bool | None = None

    def header(self, name: str) -> str | None:
        """A header's value; names in any case."""
        wanted = name.lower()
        return next((value for key, value in (self.headers or {}).items() if key.lower() == wanted), None)

    def to_json(self) -> dict[str, object]:
        """As ``capture.py`` reads it back."""
        found: dict[str, object] = {
            "destination": self.destination,
            "at": None if self.at is None else iso(self.at),
            "method": self.method,
            "url": self.url,
            "headers": None if self.headers is None else dict(self.headers),
        }
        try:
            return found | {"body": self.body.decode()}
        except UnicodeDecodeError:
            return found | {"body_base64": base64.b64encode(self.body).decode()}
