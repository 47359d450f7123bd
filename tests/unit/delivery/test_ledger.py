"""Who works on what: one answer to every rebalance."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc.delivery.ledger import Ledger
from eventproc.identifiers import Offset
from eventproc.watermark import CommitPoint

A, B = ("a", 0), ("b", 0)


@dataclass(eq=False)
class Handler:
    mine: dict[tuple[str, int], tuple[int | None, str]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def assign(self, partition: tuple[str, int], committed: int | None, metadata: str) -> None:
        self.mine.setdefault(partition, (committed, metadata))

    def commit_points(self) -> dict[tuple[str, int], CommitPoint]:
        return {partition: CommitPoint(Offset(1), "") for partition in self.mine}

    def committed(self, partition: tuple[str, int], point: CommitPoint) -> None:
        self.calls.append(f"committed {partition[0]} {point.offset}")

    async def drain(self, timeout_seconds: float) -> None:
        self.calls.append(f"drain {timeout_seconds}")

    def release(self) -> None:
        self.calls.append("release")
        self.mine.clear()


def test_each_handler_hears_of_its_topics_alone() -> None:
    ledger, first, second = Ledger(), Handler(), Handler()
    ledger.register("a", first)
    ledger.register("b", second)
    ledger.assigned({A: (5, "m"), B: (None, ""), ("unknown", 0): (1, "")}, generation=1)
    assert (first.mine, second.mine) == ({A: (5, "m")}, {B: (None, "")})
    assert set(ledger.commit_points()) == {A, B}
    ledger.committed(ledger.commit_points())
    assert (first.calls[-1], second.calls[-1]) == ("committed a 1", "committed b 1")


def test_what_was_said_in_the_middle_of_a_rebalance_is_void_in_the_next_generation() -> None:
    ledger, handler = Ledger(), Handler()
    ledger.register("a", handler)
    ledger.assigned({A: (5, "old")}, generation=1)
    ledger.release()
    ledger.assigned({A: (5, "old")}, generation=1)
    ledger.assigned({A: (9, "new")}, generation=2)
    assert handler.mine == {A: (9, "new")}


def test_the_same_generation_changes_nothing_that_is_known() -> None:
    ledger, handler = Ledger(), Handler()
    ledger.register("a", handler)
    ledger.assigned({A: (5, "m")}, generation=1)
    ledger.assigned({A: (6, "n"), ("a", 1): (0, "")}, generation=1)
    assert handler.mine == {A: (5, "m"), ("a", 1): (0, "")}


async def test_a_handler_of_many_topics_is_drained_once() -> None:
    ledger, handler = Ledger(), Handler()
    ledger.register("a", handler)
    ledger.register("b", handler)
    await ledger.drain(3)
    assert handler.calls == ["drain 3"]


def test_a_topic_that_nobody_works_on_any_more_is_left_alone() -> None:
    ledger, stays, goes = Ledger(), Handler(), Handler()
    ledger.register("a", stays)
    ledger.register("b", goes)
    ledger.assigned({A: (5, "m"), B: (6, "n")}, generation=1)
    points = ledger.commit_points()
    ledger.unregister("b")
    ledger.committed(points)
    ledger.assigned({A: (5, "m"), B: (6, "n")}, generation=2)
    assert set(ledger.commit_points()) == {A}
    assert goes.calls == ["release"], "by the first assignment, and nothing since"
