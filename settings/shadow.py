"""A shadow worker's names: never those of the workers that deliver.

Derived, and not left to the operator: a shadow worker in the group of those that deliver would take their
partitions and drop their events, and a warning is read too late.
"""

from __future__ import annotations

from typing import Final

from settings.model import Settings

_PREFIX: Final = "shadow."
_GROUP: Final = "-shadow"
_KEYS: Final = ("topics.prefix", "topics.consumer_group")


def keep_apart(settings: Settings) -> Settings:
    """The same with topics and a consumer group of its own; ``origins`` say why."""
    topics = settings.topics
    names = {"prefix": f"{topics.prefix}{_PREFIX}", "consumer_group": f"{topics.consumer_group}{_GROUP}"}
    reasons = {key: f"{settings.origins[key]}, apart by delivery.mode" for key in _KEYS}
    return settings.model_copy(
        update={"topics": topics.model_copy(update=names), "origins": {**settings.origins, **reasons}}
    )


def as_shadow(settings: Settings) -> Settings:
    """What a shadow worker with this configuration has, whatever ``delivery.mode`` says now."""
    if settings.delivery.mode == "shadow":
        return settings
    delivery = settings.delivery.model_copy(update={"mode": "shadow"})
    return keep_apart(settings.model_copy(update={"delivery": delivery}))
