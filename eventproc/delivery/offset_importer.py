"""Takes over from other consumer groups: where they are in the anchor's topic, and our group set there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from eventproc.delivery.bounded_kafka import (
    ANSWER_SECONDS,
    admin_client,
    all_partitions,
    as_unavailable,
    committed_offsets,
    consumer_client,
    describe_group,
    whole_spans,
    within,
)
from eventproc.offset_plan import (
    BUSINESS_GROUPS,
    CLIENT_GROUP,
    GroupPosition,
    ImportPlan,
    NoGroupError,
    plan_import,
    platform_group,
)
from settings import Settings


class OffsetImporter:
    """The real thing behind ``eventproc offsets import``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = settings.topics.consumer_group
        self._source = settings.topics.source

    async def members(self) -> int | None:
        """How many workers are in our group; None when that is not told.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                return await _members(admin, self._group)

    async def plan(self, from_groups: Sequence[str]) -> ImportPlan:
        """What to do; without ``from_groups`` the Anchor Platform's, one for each of our receivers.

        Raises:
            NoGroupError: one of them is not there, or has no offset in the anchor's topic.
            BrokerUnavailableError: Kafka did not answer, or refused.
        """
        with as_unavailable(self._settings):
            async with admin_client(self._settings) as admin:
                partitions = (await all_partitions(admin)).get(self._source, [])
                if not partitions:
                    raise NoGroupError(f"There is no topic {self._source}: check topics.source.")
                groups = await self._groups(admin, from_groups, partitions)
                own = await _offsets(admin, self._group, partitions)
            async with consumer_client(self._settings) as consumer:
                spans = await whole_spans(consumer, partitions)
        begins = {one.partition: begin for one, (begin, _) in spans.items()}
        return plan_import(groups, begins, own)

    async def write(self, plan: ImportPlan) -> None:
        """Set our group's offsets.

        Raises:
            BrokerUnavailableError: Kafka did not answer, or refused: a worker has come into the group.
        """
        offsets = {
            TopicPartition(self._source, partition): OffsetAndMetadata(start, "")
            for partition, start in plan.starts.items()
        }
        with as_unavailable(self._settings):
            async with consumer_client(self._settings, group_id=self._group) as consumer:
                consumer.assign(list(offsets))
                await within(ANSWER_SECONDS, consumer.commit(offsets))

    async def _groups(
        self, admin: AIOKafkaAdminClient, names: Sequence[str], partitions: list[TopicPartition]
    ) -> list[GroupPosition]:
        listed = {name for name, _ in await within(ANSWER_SECONDS, admin.list_consumer_groups())}
        wanted = names or sorted(
            name for name in listed if name in BUSINESS_GROUPS or name.startswith(CLIENT_GROUP)
        )
        known = [
            GroupPosition(name, await _offsets(admin, name, partitions), await _members(admin, name))
            for name in wanted
        ]
        found = [group for group in known if group.offsets]
        if names:
            for group in known:
                if not group.offsets:
                    raise NoGroupError(_unknown(group.name, self._source, listed - {self._group}))
            return found
        return list(self._one_for_each_receiver(found, listed - {self._group}))

    def _one_for_each_receiver(
        self, known: Sequence[GroupPosition], listed: Iterable[str]
    ) -> Iterable[GroupPosition]:
        for receiver, wanted in _receivers(self._settings):
            group = platform_group(wanted, known)
            if group is None:
                names = ", ".join(sorted(listed)) or "none"
                raise NoGroupError(
                    f"No group of the Anchor Platform for {receiver} has read {self._source}. "
                    f"Name those to take over from by --from-group; there are: {names}."
                )
            yield group


def _receivers(settings: Settings) -> Iterable[tuple[str, str | frozenset[str]]]:
    """Whom the Anchor Platform has a processor for, and what its group is known by."""
    processor = settings.event_processor
    if processor.callback_api_request.enabled:
        yield "the business server", "callback-api"
    if processor.client_status_callback.enabled:
        for client in settings.clients:
            if dict(client.callback_urls.items()):
                names = client.signing_keys if client.type == "custodial" else client.domains
                yield f"client {client.name}", frozenset(names)


async def _offsets(
    admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]
) -> dict[int, int]:
    found = await committed_offsets(admin, group, partitions)
    return {one.partition: offset for one, (offset, _) in found.items()}


async def _members(admin: AIOKafkaAdminClient, group: str) -> int | None:
    """The embedded broker's answer cannot be read when there are members."""
    try:
        described: Any = await within(ANSWER_SECONDS, describe_group(admin, group))
    except (KafkaError, ValueError):
        return None
    return None if described["error_code"] else len(described["members"])


def _unknown(name: str, source: str, listed: Iterable[str]) -> str:
    names = ", ".join(sorted(listed)) or "none"
    return f"Group {name} has read nothing of {source}. There are: {names}."
