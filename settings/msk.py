"""What ``events.queue.type: msk`` means for ``events.queue.kafka``, which every Kafka client is made from.

Derived once, when settings are loaded, so that no client knows of AWS but by its login.
"""

from __future__ import annotations

from typing import Any, Final

from settings.model import Settings

_WHY: Final = "by events.queue.type"


def as_kafka(settings: Settings) -> Settings:
    """The same, with ``events.queue.kafka`` as ``events.queue.msk`` has it; as it is with another type."""
    queue = settings.events.queue
    derived = derived_keys(settings)
    if not derived:
        return settings
    kafka = queue.kafka.model_copy(update=derived)
    events = settings.events.model_copy(update={"queue": queue.model_copy(update={"kafka": kafka})})
    return settings.model_copy(update={"events": events})


def derived_origins(settings: Settings) -> dict[str, str]:
    """Why each derived key has its value."""
    return {f"events.queue.kafka.{name}": f"events.queue.msk, {_WHY}" for name in derived_keys(settings)}


def derived_keys(settings: Settings) -> dict[str, Any]:
    """The members of ``events.queue.kafka`` that follow from ``events.queue.msk``."""
    queue = settings.events.queue
    if queue.type != "msk":
        return {}
    derived: dict[str, Any] = {}
    if queue.msk.bootstrap_server is not None:
        derived["bootstrap_server"] = queue.msk.bootstrap_server
    if queue.msk.client_id is not None:
        derived["client_id"] = queue.msk.client_id
    if queue.msk.use_iam:  # MSK takes AWS's tokens over TLS alone
        derived |= {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
    return derived
