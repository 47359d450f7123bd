"""What a fetcher keeps is bounded, and what is dropped is fetched again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from eventproc.delivery.fetch_plan import FetchPlan
from eventproc.delivery.fetch_room import FetchRoom, LeftOut
from tests.unit.delivery.test_fetch_plan import AT_ONCE, PARTITIONS, Assignment, make_fetcher

FIRST, SECOND, *OTHERS = PARTITIONS


def fetched(size: int) -> Any:
    """A part of a fetch that waits, as aiokafka keeps it."""
    records = SimpleNamespace(_records=MemoryRecords(bytes(size)))
    return SimpleNamespace(_partition_records=records, calculate_backoff=lambda: 0)


def named(fetcher: Any, room: FetchRoom) -> tuple[set[TopicPartition], int | None]:
    """The partitions that the next fetches name, and the most bytes of one."""
    requests = FetchPlan(fetcher, AT_ONCE, room=room)(Assignment(dict.fromkeys(PARTITIONS, 5), set()))[0]
    structs = [request.build(FetchRequest_v11) for _, request in requests]
    partitions = {
        TopicPartition(topic, entry[0])
        for one in structs
        for topic, entries in one.topics
        for entry in entries
    }
    return partitions, max((one.max_bytes for one in structs), default=None)


def test_a_fetch_asks_for_no_more_than_there_is_room_for() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    fetcher._records[FIRST] = fetched(300)
    partitions, most_bytes = named(fetcher, FetchRoom(1000))
    assert partitions == {SECOND, *OTHERS}
    assert most_bytes == 700


def test_brokers_share_the_room() -> None:
    fetcher = make_fetcher({one: 1 if one.topic == "a" else 2 for one in PARTITIONS})
    assert named(fetcher, FetchRoom(1000))[1] == 500


def test_without_room_nothing_is_fetched_until_something_is_taken() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    fetcher._records[FIRST] = fetched(1000)
    room = FetchRoom(1000)
    assert named(fetcher, room) == (set(), None)
    assert room.held_bytes == 1000
    del fetcher._records[FIRST]
    assert named(fetcher, room)[0] == set(PARTITIONS)


@pytest.mark.parametrize(("size", "stays"), [(400, True), (900, False)])
def test_a_paused_partition_is_not_fetched_and_keeps_what_it_has_while_there_is_room(
    size: int, stays: bool
) -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    fetcher._records[FIRST] = fetched(size)
    paused = {tuple(FIRST), tuple(SECOND)}
    room = FetchRoom(1000, lambda: paused)
    assert named(fetcher, room)[0] == set(OTHERS)
    assert (FIRST in fetcher._records) == stays
    paused.clear()
    expected = {SECOND, *OTHERS} if stays else set(PARTITIONS)
    assert named(fetcher, room)[0] == expected, "fetched again from where it stood"


def test_with_everything_paused_nothing_is_asked() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    assert named(fetcher, FetchRoom(1000, lambda: PARTITIONS)) == (set(), None)


def test_errors_that_wait_are_kept() -> None:
    fetcher = make_fetcher(dict.fromkeys(PARTITIONS, 1))
    fetcher._records = {FIRST: SimpleNamespace(calculate_backoff=lambda: 0), SECOND: fetched(1000)}
    FetchRoom(1000, lambda: PARTITIONS).make(fetcher._records)
    assert list(fetcher._records) == [FIRST]


def test_left_out_names_each_once() -> None:
    left_out = LeftOut([FIRST], {FIRST, SECOND})
    assert sorted(left_out) == sorted([FIRST, SECOND])
    assert len(left_out) == 2
    assert OTHERS[0] not in left_out
