"""Logs what a person should know of whose an event or a customer is."""

from __future__ import annotations

import structlog

from eventproc.customer_index import CustomerIndex
from eventproc.events import Event
from eventproc.routing import Route

log = structlog.stdlib.get_logger("eventproc.router")


def report_ownership(event: Event, route: Route, index: CustomerIndex) -> None:
    """Report the customers that the event made contested, and an attribution that it contradicts."""
    for customer in route.contested:
        warn_of_contested(index, customer, event_id=event.id, lane=event.lane_key)
    if route.contradiction is not None:
        log.warning(
            "attribution.contradicted", event_id=event.id, lane=event.lane_key, says=route.contradiction
        )


def warn_of_contested(index: CustomerIndex, customer: str, **where: str) -> None:
    """Report a customer that clients name which do not receive its updates."""
    owners, rivals = sorted(index.owners_of(customer)), sorted(index.rivals_of(customer))
    log.warning("customer.contested", customer=customer, clients=owners, also_named_by=rivals, **where)
