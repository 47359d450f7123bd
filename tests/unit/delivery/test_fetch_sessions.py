"""Incremental fetches: whatever happens, the broker reads for us exactly what the fetcher wants."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery.fetch_pace import FetchPace
from eventproc.delivery.fetch_plan import in_sessions
from eventproc.delivery.fetch_sessions import (
    MOST_EPOCHS,
    FetchBounds,
    FetchSession,
    FetchSessions,
    SessionFetch,
)

NODE = 1
MOST_BYTES = 1000
SESSION_ID_NOT_FOUND, INVALID_EPOCH, STORAGE_ERROR = 70, 71, 56

Positions = dict[tuple[str, int], int]

positions = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3)), st.integers(0, 2), max_size=8
)


@dataclass
class Broker:
    """A broker's part of KIP-227; ``names`` has how many partitions each request named."""

    request_class: Any = FetchRequest_v11
    has_room: bool = True
    fails: bool = False
    writes_lost: int = 0
    """Requests that fail after they were built, as a connection does that closes under the write."""
    refuses: int = 0
    answers_lost: int = 0
    sessions: dict[int, tuple[int, Positions]] = field(default_factory=dict)
    read: Positions = field(default_factory=dict)
    names: list[int] = field(default_factory=list)
    epochs: list[tuple[int, int]] = field(default_factory=list)
    speaks_of: list[Any] = field(default_factory=list)
    made: int = 0

    async def send(self, node_id: int, request: Any, **_: Any) -> Any:
        """Answer one fetch."""
        if self.fails:
            raise KafkaConnectionError("away")
        struct = request.build(self.request_class)
        named = {
            (topic, entry[0]): entry[2] if self.request_class is FetchRequest_v11 else entry[1]
            for topic, partitions in struct.topics
            for entry in partitions
        }
        if self.writes_lost:
            self.writes_lost -= 1
            raise KafkaConnectionError("the connection closed under the write")
        self.names.append(len(named))
        if self.request_class is FetchRequest_v4:
            self.read = named
            return SimpleNamespace(API_VERSION=4, topics=[])
        self.epochs.append((struct.session_id, struct.session_epoch))
        answer = self._answer(struct, named)
        answer.topics = self.speaks_of
        if self.answers_lost:
            self.answers_lost -= 1
            raise KafkaConnectionError("the answer is lost")
        return answer

    def _answer(self, struct: Any, named: Positions) -> Any:
        if self.refuses:
            return _response(self.refuses, 0)
        if struct.session_epoch == -1:  # without a session
            self.read = named
            return _response(0, 0)
        if struct.session_epoch == 0:
            self.sessions.pop(struct.session_id, None)
            self.read = named
            if not self.has_room:
                return _response(0, 0)
            self.made += 1
            self.sessions[self.made] = (1, named)
            return _response(0, self.made)
        if struct.session_id not in self.sessions:
            return _response(SESSION_ID_NOT_FOUND, 0)
        epoch, known = self.sessions[struct.session_id]
        if struct.session_epoch != epoch:
            return _response(INVALID_EPOCH, 0)
        forgotten = {(topic, number) for topic, numbers in struct.forgotten_topics_data for number in numbers}
        assert forgotten <= known.keys()
        assert not forgotten & named.keys()
        self.read = {key: offset for key, offset in known.items() if key not in forgotten} | named
        self.sessions[struct.session_id] = (epoch + 1, self.read)
        return _response(0, struct.session_id)


def _response(error_code: int, session_id: int) -> Any:
    return SimpleNamespace(API_VERSION=11, error_code=error_code, session_id=session_id, topics=[])


def fetch(sessions: FetchSessions, wanted: Positions, node: int = NODE) -> SessionFetch:
    """Of what is not wanted and was, some is left out, and some has no position any more."""
    session = sessions.session_of(node)
    unwanted = session.known.keys() - {TopicPartition(*key) for key in wanted}
    positions: dict[TopicPartition, int | None] = dict.fromkeys(unwanted)
    positions |= {TopicPartition(*key): offset for key, offset in wanted.items()}
    left_out = {partition for partition in unwanted if partition.topic != "b"}
    states = {partition: SimpleNamespace(_position=offset) for partition, offset in positions.items()}
    return SessionFetch(session, states, left_out, BOUNDS)


BOUNDS = FetchBounds(100, 1, 1 << 20, MOST_BYTES, 0)
PACE = FetchPace(0, 20, 20)
MANY = {("a", number): 5 for number in range(100)}


@given(
    st.lists(
        st.tuples(
            positions,
            st.sampled_from(["", "", "", "forgets", "away", "unwritten", "lost", "full", "restart"]),
        ),
        max_size=15,
    )
)
def test_the_broker_reads_what_is_wanted_whatever_happens(steps: list[tuple[Positions, str]]) -> None:
    async def go() -> None:
        broker = Broker()
        sessions = FetchSessions(broker)
        for wanted, event in steps:
            broker.has_room = event != "full"
            broker.fails = event == "away"
            broker.answers_lost = int(event == "lost")
            broker.writes_lost = int(event == "unwritten")
            if event == "forgets":
                broker.sessions.clear()
            elif event == "restart":
                sessions.restart()
            if event in ("away", "unwritten", "lost"):
                with pytest.raises(KafkaConnectionError):
                    await sessions.send(NODE, fetch(sessions, wanted))
            else:
                await sessions.send(NODE, fetch(sessions, wanted))
                assert broker.read == wanted

    asyncio.run(go())


async def test_only_what_has_changed_is_named() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    for wanted in (MANY, MANY, MANY | {("a", 7): 6}, {("a", 7): 6}, {("a", 7): 6, ("b", 0): 0}):
        await sessions.send(NODE, fetch(sessions, wanted))
        assert broker.read == wanted
    assert broker.names == [100, 0, 1, 0, 1]
    assert broker.epochs == [(0, 0), (1, 1), (1, 2), (1, 3), (1, 4)]


async def test_what_a_lost_write_named_is_named_again() -> None:
    """aiokafka builds a request before it writes it: the session knows a partition that the broker does not."""
    broker = Broker()
    sessions = FetchSessions(broker)
    await sessions.send(NODE, fetch(sessions, MANY))
    broker.writes_lost = 1
    with pytest.raises(KafkaConnectionError):
        await sessions.send(NODE, fetch(sessions, MANY | {("b", 0): 3}))
    await sessions.send(NODE, fetch(sessions, MANY | {("b", 0): 3}))
    assert broker.read == MANY | {("b", 0): 3}
    assert broker.epochs == [(0, 0), (1, 0)]


async def test_each_broker_has_a_session_of_its_own() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    for node in (1, 2, 1, 2):
        await sessions.send(node, fetch(sessions, MANY, node))
    assert broker.epochs == [(0, 0), (0, 0), (1, 1), (2, 1)]


async def test_a_new_assignment_names_everything_and_replaces_the_session() -> None:
    broker = Broker()
    fetcher = SimpleNamespace(_client=broker, _get_actions_per_node=None)
    in_sessions(fetcher, PACE)
    await fetcher._client.send(NODE, fetch(fetcher._client, MANY))
    in_sessions(fetcher, PACE)
    await fetcher._client.send(NODE, fetch(fetcher._client, MANY))
    assert broker.names == [100, 100]
    assert broker.epochs == [(0, 0), (1, 0)]
    assert list(broker.sessions) == [2]


async def test_what_was_under_way_at_a_new_assignment_tells_nothing_about_the_next_session() -> None:
    broker = Broker()
    answer = asyncio.Event()

    class Slow:
        async def send(self, node_id: int, request: Any, **_: Any) -> Any:
            response = await broker.send(node_id, request)
            await answer.wait()
            return response

    sessions = FetchSessions(Slow())
    under_way = asyncio.create_task(sessions.send(NODE, fetch(sessions, MANY)))
    await asyncio.sleep(0)
    sessions.restart()
    answer.set()
    await under_way
    await sessions.send(NODE, fetch(sessions, {("b", 0): 1}))
    assert broker.epochs == [(0, 0), (0, 0)]
    assert broker.read == {("b", 0): 1}


async def test_a_lost_session_is_begun_anew_within_the_same_fetch() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    await sessions.send(NODE, fetch(sessions, MANY))
    broker.sessions.clear()
    response = await sessions.send(NODE, fetch(sessions, MANY))
    assert response.error_code == 0
    assert broker.names == [100, 0, 100]


async def test_a_broker_that_refuses_a_fetch_as_a_whole_is_heard() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    await sessions.send(NODE, fetch(sessions, MANY))
    broker.refuses = STORAGE_ERROR
    with pytest.raises(KafkaError):
        await sessions.send(NODE, fetch(sessions, MANY))
    broker.refuses = 0
    await sessions.send(NODE, fetch(sessions, MANY))
    assert broker.names[-1] == 100


async def test_a_broker_without_room_gets_everything_each_time() -> None:
    broker = Broker(has_room=False)
    sessions = FetchSessions(broker)
    for _ in range(3):
        await sessions.send(NODE, fetch(sessions, MANY))
    assert broker.names == [100, 100, 100]
    assert broker.epochs == [(0, 0)] * 3


async def test_a_broker_before_sessions_gets_everything_each_time() -> None:
    broker = Broker(request_class=FetchRequest_v4)
    sessions = FetchSessions(broker)
    for _ in range(2):
        await sessions.send(NODE, fetch(sessions, MANY))
        assert broker.read == MANY
    assert broker.names == [100, 100]


async def test_the_fetcher_looks_up_what_the_answer_speaks_of() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    await sessions.send(NODE, fetch(sessions, MANY))
    broker.speaks_of = [("a", [(3, 0, 9), (7, 0, 9)])]
    request = fetch(sessions, MANY | {("a", 7): 6})
    await sessions.send(NODE, request)
    assert request.topics == [("a", [(3, 5, MOST_BYTES), (7, 6, MOST_BYTES)])]


async def test_aiokafkas_own_fetch_goes_out_as_it_is_and_ends_what_the_session_knew() -> None:
    broker = Broker()
    sessions = FetchSessions(broker)
    await sessions.send(NODE, fetch(sessions, MANY))
    broker.sessions.clear()
    own = FetchRequest(100, 1, 1 << 20, 0, [("a", [(3, 5, MOST_BYTES)])])
    broker.read = {}
    await sessions.send(NODE, own)
    assert broker.epochs[-1] == (0, -1)
    assert broker.read == {("a", 3): 5}
    assert own.topics == [("a", [(3, 5, MOST_BYTES)])]
    await sessions.send(NODE, fetch(sessions, MANY))
    assert broker.names == [100, 1, 100]


async def test_everything_else_passes_through() -> None:
    asked: list[Any] = []

    class Client:
        cluster = object()

        async def send(self, *arguments: Any, **options: Any) -> str:
            asked.append((arguments, options))
            return "answer"

    client = Client()
    sessions = FetchSessions(client)
    assert sessions.cluster is client.cluster
    assert await sessions.send(3, "metadata", group=1) == "answer"
    assert asked == [((3, "metadata"), {"group": 1})]


def test_epochs_begin_anew_after_the_last() -> None:
    session = FetchSession()
    session.answered(9)
    assert session.epoch == 1
    session.epoch = MOST_EPOCHS
    session.answered(9)
    assert session.epoch == 1
