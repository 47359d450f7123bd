"""Step 4: order within a lane, none between lanes, nothing forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventproc.identifiers import LaneKey
from eventproc.lanes import Lane, Lanes


def test_a_lane_gives_its_head_only_once_at_a_time() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1)
    lanes.add(LaneKey("a"), 2)
    lane = lanes.take(0)
    assert lane is not None
    assert lanes.take(0) is None
    assert lanes.finish(lane) == 1
    again = lanes.take(0)
    assert again is not None
    assert again.items[0] == 2


def test_a_postponed_head_holds_its_lane_and_no_other() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1)
    lanes.add(LaneKey("a"), 2)
    lanes.add(LaneKey("b"), 3)
    first = lanes.take(0)
    assert first is not None
    lanes.postpone(first, until=10)
    second = lanes.take(5)
    assert second is not None
    assert second.key == "b"
    lanes.finish(second)
    assert lanes.take(5) is None
    assert lanes.next_due() == 10
    due = lanes.take(10)
    assert due is not None
    assert due.items[0] == 1


def test_a_new_lane_may_have_to_wait_for_its_time_and_others_not_for_it() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1, 10)
    lanes.add(LaneKey("a"), 2, 50)
    lanes.add(LaneKey("b"), 3)
    first = lanes.take(9)
    assert first is not None
    assert first.key == "b"
    assert lanes.take(9) is None
    for wanted in (1, 2):
        due = lanes.take(10)
        assert due is not None
        assert lanes.finish(due) == wanted


def test_a_postponed_lane_that_a_probe_took_is_due_at_no_time() -> None:
    lanes: Lanes[int] = Lanes()
    for number, until in enumerate((5, 10, 20)):
        lanes.add(LaneKey(f"lane{number}"), number, until)
    assert lanes.next_due() == 5
    probe = lanes.take_probe(None)
    assert probe is not None
    assert probe.items[0] == 0
    assert lanes.next_due() == 10


def test_all_lanes_run_when_none_is_ready_and_none_is_postponed() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1)
    seen = [lanes.is_all_running]
    lane = lanes.take(0)
    assert lane is not None
    seen.append(lanes.is_all_running)
    lanes.postpone(lane, until=10)
    seen.append(lanes.is_all_running)
    assert seen == [False, True, False]


def lanes_postponed_until(*times: float) -> Lanes[float]:
    lanes: Lanes[float] = Lanes()
    for until in times:
        lanes.add(LaneKey(f"until {until}"), until, until)
    return lanes


def test_a_probe_avoids_the_last_one_while_there_is_another() -> None:
    lanes = lanes_postponed_until(5, 10, 20)
    for wanted in (10, 20, 5):
        probe = lanes.take_probe(LaneKey("until 5"))
        assert probe is not None
        assert probe.items[0] == wanted


def test_a_probe_avoids_the_first_of_two_that_are_ready() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1)
    lanes.add(LaneKey("b"), 2)
    probe = lanes.take_probe(LaneKey("a"))
    assert probe is not None
    assert probe.key == "b"


def test_a_lane_that_is_due_at_this_moment_is_ready_and_later_ones_are_not() -> None:
    lanes = lanes_postponed_until(5, 20, 10)
    assert not lanes.has_ready(4.9)
    assert lanes.has_ready(5)
    due = lanes.take(5)
    assert due is not None
    assert due.items[0] == 5
    assert lanes.take(5) is None


def test_a_lane_that_is_put_back_is_the_first_in_line() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add(LaneKey("a"), 1)
    lanes.add(LaneKey("b"), 2)
    lane = lanes.take(0)
    assert lane is not None
    lanes.put_back(lane)
    assert lanes.take(0) is lane


def test_probes_take_different_lanes_in_turn() -> None:
    lanes: Lanes[int] = Lanes()
    for name in ("a", "b"):
        lanes.add(LaneKey(name), 0)
        lane = lanes.take(0)
        assert lane is not None
        lanes.postpone(lane, until=100)
    seen = []
    last = None
    for turn in range(4):
        lane = lanes.take_probe(last)
        assert lane is not None
        seen.append(lane.key)
        last = lane.key
        lanes.postpone(lane, until=200 + turn)
    assert seen == ["a", "b", "a", "b"]


def test_release_makes_every_postponed_lane_ready() -> None:
    lanes: Lanes[int] = Lanes()
    for number in range(5):
        lanes.add(LaneKey(str(number)), number)
        lane = lanes.take(0)
        assert lane is not None
        lanes.postpone(lane, until=1000 - number)
    lanes.release_postponed()
    keys = []
    while (lane := lanes.take(0)) is not None:
        keys.append(lane.key)
    assert keys == ["4", "3", "2", "1", "0"]
    assert lanes.next_due() is None


class LanesAgainstModel(RuleBasedStateMachine):
    """Lanes against a dict of lists."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[int] = Lanes()
        self.model: dict[str, list[int]] = {}
        self.running: list[Lane[int]] = []
        self.postponed: dict[str, float] = {}
        self.now = 0.0
        self.number = 0

    @rule(key=st.sampled_from("abcde"))
    def add(self, key: str) -> None:
        self.number += 1
        self.lanes.add(LaneKey(key), self.number)
        self.model.setdefault(key, []).append(self.number)

    @rule()
    def take(self) -> None:
        running = {lane.key for lane in self.running}
        startable = {k for k in self.model if k not in running and self.postponed.get(k, 0) <= self.now}
        assert self.lanes.has_ready(self.now) == bool(startable)
        lane = self.lanes.take(self.now)
        assert (lane is not None) == bool(startable)
        if lane is not None:
            assert lane.key in startable
            assert lane.items[0] == self.model[lane.key][0]
            self.postponed.pop(lane.key, None)
            self.running.append(lane)

    @rule(avoid=st.sampled_from("abcde"))
    def probe(self, avoid: str) -> None:
        running = {lane.key for lane in self.running}
        startable = {k for k in self.model if k not in running}
        lane = self.lanes.take_probe(LaneKey(avoid))
        assert (lane is not None) == bool(startable)
        if lane is not None:
            assert lane.key in startable
            self.postponed.pop(lane.key, None)
            self.running.append(lane)

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 4))
    def finish(self, index: int) -> None:
        lane = self.running.pop(index % len(self.running))
        expected = self.model[lane.key].pop(0)
        if not self.model[lane.key]:
            del self.model[lane.key]
        assert self.lanes.finish(lane) == expected

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 4), wait=st.integers(0, 5))
    def postpone(self, index: int, wait: int) -> None:
        lane = self.running.pop(index % len(self.running))
        self.lanes.postpone(lane, self.now + wait)
        self.postponed[lane.key] = self.now + wait

    @rule()
    def release(self) -> None:
        self.lanes.release_postponed()
        self.postponed.clear()

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.lanes.waiting == sum(map(len, self.model.values()))
        assert sorted(self.lanes.heads()) == sorted(items[0] for items in self.model.values())


TestLanesAgainstModel = LanesAgainstModel.TestCase


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=50))
def test_every_lane_comes_out_in_the_order_it_went_in(items: list[tuple[str, int]]) -> None:
    lanes: Lanes[int] = Lanes()
    for number, (key, _) in enumerate(items):
        lanes.add(LaneKey(key), number)
    out: dict[str, list[int]] = {}
    tries = [wait for _, wait in items]
    now = 0.0
    while len(lanes):
        lane = lanes.take(now)
        if lane is None:
            due = lanes.next_due()
            assert due is not None
            now = due
            continue
        head = lane.items[0]
        if tries[head]:
            tries[head] -= 1
            lanes.postpone(lane, now + 1)
        else:
            out.setdefault(lane.key, []).append(lanes.finish(lane))
    assert out == {k: [n for n, (key, _) in enumerate(items) if key == k] for k in out}
    assert sum(map(len, out.values())) == len(items)
