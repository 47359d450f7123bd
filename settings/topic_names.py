"""The name of a destination's topic: legal for Kafka, and the same in every version for a topic that exists.

A client's name may hold anything. What Kafka does not allow becomes ``-``, a name that is too long is cut,
and a digest of the whole keeps both unique. Kafka also refuses a topic whose name differs from another's only
in ``.`` and ``_``, because its metrics have ``_`` for both. No name is changed for that: a digest for every
name with ``_`` would give existing topics another name, and one for the second of two would depend on the
order of the configuration. So two such clients are a mistake in the configuration.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

TOPIC_BYTES: Final = 249
"""Kafka's limit for a topic's name (``Topic.MAX_NAME_LENGTH``)."""

_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]")
_DESTINATION_LENGTH: Final = 200
_DIGEST_LENGTH: Final = 8


def topic_name(prefix: str, destination: str) -> str:
    """Return the topic of a destination; ``prefix`` is at most 200 characters long."""
    safe = _CHARACTERS.sub("-", destination)[:_DESTINATION_LENGTH]
    room = TOPIC_BYTES - len(prefix)
    if safe == destination and len(safe) <= room:
        return prefix + safe
    digest = hashlib.sha256(destination.encode("utf-8", "replace")).hexdigest()[:_DIGEST_LENGTH]
    return f"{prefix}{safe[: room - _DIGEST_LENGTH - 1]}-{digest}"


def is_destination_topic(prefix: str, topic: str) -> bool:
    """Whether workers of this ``topics.prefix`` could deliver from this topic, configured or not."""
    return topic == topic_name(prefix, "callback-api") or topic.startswith(f"{prefix}client.")


def collisions(topics: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield two clients for each topic that Kafka would refuse; ``topics`` are (topic, client)."""
    owners: dict[str, str] = {}
    found: set[tuple[str, str]] = set()
    for topic, client in topics:
        owner = owners.setdefault(topic.replace(".", "_"), client)
        if owner != client and (owner, client) not in found:
            found.add((owner, client))
            yield owner, client
