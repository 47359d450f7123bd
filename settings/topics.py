"""``topics.*``: names, partitions, replication and retention of the topics; the consumer group."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from settings.fields import Count, Section, Text, TopicName


class TopicsSettings(Section):
    """``topics.*``."""

    source: TopicName
    prefix: TopicName
    partitions: Annotated[int, Field(ge=1, le=10_000)]
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] | None
    retention_hours: Count | None
    invalid_retention_hours: Count | None
    dead_letter_retention_hours: Count | None
    consumer_group: Text
    max_message_bytes: Annotated[int, Field(ge=1024, le=2**30)]

    @property
    def invalid(self) -> str:
        """Records of the source that cannot be read."""
        return f"{self.prefix}invalid"

    @property
    def dead_letter(self) -> str:
        """Events that their destination refused for good."""
        return f"{self.prefix}dead-letter"

    @property
    def customers(self) -> str:
        """What the router learnt: customer to clients."""
        return f"{self.prefix}customers"

    @property
    def control(self) -> str:
        """Which destinations an operator has paused."""
        return f"{self.prefix}control"

    @property
    def acceptances(self) -> str:
        """Which destinations have accepted an event as they are configured."""
        return f"{self.prefix}acceptances"

    @property
    def attempts(self) -> str:
        """The journal that timelines are read from."""
        return f"{self.prefix}attempts"

    @property
    def requests(self) -> str:
        """What a shadow worker would have sent."""
        return f"{self.prefix}requests"
