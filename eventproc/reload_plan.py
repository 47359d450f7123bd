"""What a changed configuration means for the destinations: which come, which change, which go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from eventproc.destinations import Destination
from eventproc.destinations.business_server import DESTINATION_ID
from eventproc.identifiers import DestinationId
from settings import Settings


@dataclass(frozen=True, slots=True)
class ReloadPlan:
    """Destinations by what is to be done, each in one list at most."""

    added: tuple[DestinationId, ...] = ()
    changed: tuple[DestinationId, ...] = ()
    removed: tuple[DestinationId, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings with what is made of them: a configuration that can be put in force."""

    settings: Settings
    destinations: Mapping[DestinationId, Destination]


def plan_reload(before: Configuration, after: Configuration, touched: Collection[Path] = ()) -> ReloadPlan:
    """Compare what each destination is made of.

    Args:
        before: in force.
        after: to be in force.
        touched: files whose content is another, although the settings may name them as before.
    """
    old, new = before.destinations, after.destinations
    return ReloadPlan(
        added=tuple(id_ for id_ in new if id_ not in old),
        changed=tuple(
            id_
            for id_ in new
            if id_ in old
            and (
                _ingredients(before, id_) != _ingredients(after, id_)
                or not certificate_files(new[id_]).isdisjoint(touched)
            )
        ),
        removed=tuple(id_ for id_ in old if id_ not in new),
    )


def certificate_files(destination: Destination) -> frozenset[Path]:
    """The files that its TLS is made of."""
    tls = destination.endpoint.tls
    paths = (tls.ca_path, tls.certificate_path, tls.key_path)
    return frozenset(path.absolute() for path in paths if path is not None)


def _ingredients(configuration: Configuration, id_: DestinationId) -> tuple[object, ...]:
    """Everything that a destination, its sender and its engine are made of.

    A kind of destination that is made of more needs it here, or it keeps its old settings.
    """
    settings = configuration.settings
    # Routing is the router's: it changes for all destinations at once.
    delivery = settings.delivery.model_dump(exclude={"client_routing", "shared_customers"})
    common = (configuration.destinations[id_].endpoint, delivery)
    if id_ == DESTINATION_ID:
        return (*common, settings.callback_api.auth)
    legacy = settings.client_status_callback.legacy_signature_header
    sep10 = settings.sep10
    seeds = (sep10.signing_seed, sep10.signing_seed_next, sep10.signing_seed_next_at)
    return (*common, legacy, *seeds, settings.sep6, settings.sep24)
