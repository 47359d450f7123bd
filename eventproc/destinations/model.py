"""A destination: one endpoint with its own topic, its own body and its own proof of who sends."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventproc.auth import Authenticator
from eventproc.events import Event
from eventproc.identifiers import DestinationId

_TOPIC_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]")
_TOPIC_LENGTH: Final = 200

BodyBuilder = Callable[[Event, int, float], bytes]
"""(event, its Kafka timestamp in ms, now in seconds since the epoch) -> the bytes to send."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to trust the endpoint and how to be known to it; the files are PEM."""

    verify: bool = True
    ca_path: Path | None = None
    certificate_path: Path | None = None
    key_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to POST, and how to reach it."""

    url: str
    tls: TlsOptions = TlsOptions()


@dataclass(frozen=True, slots=True)
class Destination:
    """One endpoint of one receiver; ``build_body`` raises PayloadError when it cannot."""

    id: DestinationId
    topic: str
    endpoint: Endpoint
    authenticator: Authenticator
    build_body: BodyBuilder


def topic_name(prefix: str, destination: str) -> str:
    """A legal Kafka topic name that differs for different destinations.

    A client's name may hold anything; what Kafka does not allow becomes ``-`` and a digest keeps it unique.
    """
    safe = _TOPIC_CHARACTERS.sub("-", destination)[:_TOPIC_LENGTH]
    if safe != destination:
        safe += "-" + hashlib.sha256(destination.encode("utf-8", "replace")).hexdigest()[:8]
    return prefix + safe
