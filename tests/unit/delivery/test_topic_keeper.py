"""When a topic that was deleted is made again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from eventproc.delivery.topic_keeper import MISSING_LOOKS, TopicKeeper
from eventproc.delivery.topics import TopicPlan, plan_topics
from settings import Settings, load_settings
from tests.servers.anchor_env import anchor_env

OURS = "eventproc.callback-api"


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))


@dataclass
class Cluster:
    topics: set[str] = field(default_factory=set)
    read: dict[str, bool] = field(default_factory=lambda: {OURS: True})
    made: list[str] = field(default_factory=list)
    refreshed: int = 0
    is_away: bool = False

    def __post_init__(self) -> None:
        settings = load_settings(None, anchor_env("127.0.0.1:1", business_url="http://business.example.com"))
        self.topics = {plan.name for plan in plan_topics(settings, [OURS])}
        self.control = settings.topics.control
        self.source = settings.topics.source
        self.keeper = TopicKeeper(
            settings, lambda: self.read, self._refresh, list_=self._list, declare=self._declare
        )

    def _refresh(self) -> None:
        self.refreshed += 1

    async def _list(self, _settings: Settings) -> set[str]:
        if self.is_away:
            raise KafkaConnectionError
        return set(self.topics)

    async def _declare(self, _settings: Settings, plans: list[TopicPlan]) -> list[str]:
        made = [plan.name for plan in plans if plan.name not in self.topics]
        self.topics |= set(made)
        self.made += made
        return made

    async def look(self, times: int = 1) -> list[Any]:
        with capture_logs() as logs:
            for _ in range(times):
                await self.keeper.look()
        return [(one["event"], one.get("topic")) for one in logs]


async def test_a_shared_topic_is_made_at_once_and_the_anchor_s_never() -> None:
    cluster = Cluster()
    cluster.topics -= {cluster.control, cluster.source}
    assert await cluster.look() == [("topic.created_again", cluster.control)]
    assert cluster.source not in cluster.topics
    assert cluster.refreshed == 0, "no consumer of the group reads it"


async def test_a_destination_s_topic_is_made_when_all_workers_have_looked() -> None:
    cluster = Cluster(read={OURS: False})
    cluster.topics.remove(OURS)
    assert await cluster.look(MISSING_LOOKS - 1) == [("topic.deleted", OURS)]
    assert cluster.made == []
    assert cluster.refreshed == MISSING_LOOKS - 1, "so that the consumer lets go of it"
    assert await cluster.look() == [("topic.created_again", OURS)]
    assert await cluster.look(3) == []


async def test_a_destination_s_topic_is_not_made_while_this_worker_reads_it() -> None:
    """Its offsets would be taken for those of the old one."""
    cluster = Cluster()
    cluster.topics.remove(OURS)
    await cluster.look(10)
    assert cluster.made == []
    cluster.read = {OURS: False}
    await cluster.look()
    assert cluster.made == [OURS]


async def test_looks_that_found_it_there_do_not_count() -> None:
    cluster = Cluster(read={OURS: False})
    for _ in range(5):
        cluster.topics.discard(OURS)
        await cluster.look(MISSING_LOOKS - 1)
        cluster.topics.add(OURS)
        refreshed = cluster.refreshed
        await cluster.look()
        assert cluster.refreshed == refreshed + 1, "somebody else has made it: read it soon"
    assert cluster.made == []


async def test_a_destination_that_was_removed_has_no_topic_to_make() -> None:
    cluster = Cluster(read={})
    cluster.topics.remove(OURS)
    assert await cluster.look(10) == []
    assert cluster.made == []


async def test_an_unreachable_kafka_is_reported_once_and_deletes_nothing() -> None:
    cluster = Cluster(read={OURS: False})
    cluster.is_away = True
    assert await cluster.look(5) == [("topic.not_created", None)]
    cluster.is_away = False
    assert await cluster.look() == []
