"""What a configuration says about comparing: where requests go, whose they are, what proves the sender."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from eventproc.auth.stellar_signature import StellarSignature
from eventproc.customer_index import CustomerIndex
from eventproc.destinations import build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.events import Number, Unreadable, decode
from eventproc.identifiers import DestinationId
from eventproc.routing import RoutingTable
from eventproc.shadow.diff import Rules
from eventproc.shadow.proof import Proof
from settings import Settings


def build_rules(
    settings: Settings, ignored: Collection[str] = (), ignored_urls: Collection[str] = ()
) -> Rules:
    """The rules of this configuration."""
    built = build_destinations(settings)
    return Rules(
        {id_: destination.endpoint.url for id_, destination in built.items()},
        _proof(settings),
        ignored,
        ignored_urls,
        _Owners(build_routing_table(settings, built)),
    )


class _Owners:
    """``IsFor`` by the routing table itself."""

    def __init__(self, table: RoutingTable) -> None:
        self._table = table

    def __call__(self, destination: DestinationId, transaction: Mapping[str, Any]) -> bool:
        record = {"id": "-", "type": "transaction_status_changed", "transaction": transaction}
        event = decode(orjson.dumps(record, default=_number))
        if isinstance(event, Unreadable):
            return True
        return destination in self._table.route(event, CustomerIndex()).destinations


def _number(value: Any) -> Any:
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(type(value).__name__)


def _proof(settings: Settings) -> Proof:
    seeds = (settings.sep10.signing_seed, settings.sep10.signing_seed_next)
    auth = settings.callback_api.auth
    links = {"sep6": settings.sep6.more_info_url.jwt_secret, "sep24": settings.sep24.more_info_url.jwt_secret}
    return Proof(
        [StellarSignature(seed.get_secret_value(), "").account for seed in seeds if seed is not None],
        auth.type,
        auth.api_key.http_header if auth.type == "api_key" else auth.jwt.http_header,
        None if auth.secret is None else auth.secret.get_secret_value().encode(),
        {sep: secret.get_secret_value().encode() for sep, secret in links.items() if secret is not None},
    )
