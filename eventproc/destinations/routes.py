"""The routing table of one configuration: the same for the router and for a replay."""

from __future__ import annotations

from collections.abc import Collection

from eventproc.destinations.business_server import DESTINATION_ID
from eventproc.destinations.client_endpoint import client_endpoints
from eventproc.identifiers import DestinationId
from eventproc.ownership import ClientRule
from eventproc.routing import RoutingTable
from settings import Settings


def build_routing_table(settings: Settings, destinations: Collection[DestinationId]) -> RoutingTable:
    """The rules of ``settings``, for these of its destinations."""
    rules = [
        ClientRule(
            client.name,
            client.domains if client.type == "noncustodial" else (),
            client.signing_keys if client.type == "custodial" else (),
            {sep: id_ for sep, id_ in client_endpoints(settings, client.name).items() if id_ in destinations},
        )
        for client in settings.clients
        if settings.event_processor.client_status_callback.enabled
    ]
    business = DESTINATION_ID if DESTINATION_ID in destinations else None
    return RoutingTable(
        rules,
        business,
        broadcast=settings.delivery.client_routing == "broadcast",
        shared_customers=settings.delivery.shared_customers,
    )
