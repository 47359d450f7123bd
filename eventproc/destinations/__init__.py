"""What a destination is, and the table of the kinds: a new kind is one file here and one line below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventproc.destinations.business_server import business_server_destinations
from eventproc.destinations.client_endpoint import client_destinations
from eventproc.destinations.model import Destination, Endpoint, TlsOptions
from eventproc.identifiers import DestinationId
from settings import Settings
from settings.topic_names import topic_name

__all__ = ["KINDS", "Destination", "Endpoint", "TlsOptions", "build_destinations", "topic_name"]

KINDS: Final[tuple[Callable[[Settings], list[Destination]], ...]] = (
    business_server_destinations,
    client_destinations,
)


def build_destinations(settings: Settings) -> dict[DestinationId, Destination]:
    """Every destination that the configuration names, in its order."""
    return {destination.id: destination for kind in KINDS for destination in kind(settings)}
