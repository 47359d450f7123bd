"""The simulation behind docs/scale.md: it loses nothing, keeps order, and agrees with what can be reckoned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.document import SCALE_FILE
from bench.percentiles import percentile
from bench.rebalance import ASSIGNORS, Group, measure_assignment, rebalance
from bench.simulate import isolation, rebalances, with_tables
from bench.simulation import Layout, Scenario, simulate

SMALL = Scenario(
    Layout.SHARED, 0.0, destinations=40, events_per_second=40.0, seconds=90.0, outage=(10.0, 70.0)
)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize(("down", "slow"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (1.0, 0.0), (0.3, 0.3)])
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_every_lane_keeps_its_order(
    layout: Layout, down: float, slow: float, seed: int
) -> None:
    # A window that fills, and lanes with several records at once.
    scenario = replace(
        SMALL, layout=layout, down_share=down, slow_share=slow, seed=seed, window=50, lanes=2, park_after=3
    )
    outcome = simulate(scenario)  # which itself compares what was published with what was delivered
    assert outcome.delivered > 3000
    assert outcome.out_of_order == 0


def test_a_worker_without_outage_takes_a_receiver_s_time_and_two_hops() -> None:
    delays = simulate(SMALL).healthy
    assert percentile(delays, 50) == pytest.approx(SMALL.latency_seconds + 0.006, rel=0.1)


def test_a_shared_partition_stands_still_when_its_window_is_full() -> None:
    outcome = simulate(replace(SMALL, down_share=0.5, window=50))
    # The first of four windows of 50 is full a little before all four are: 200 records at 20 a second.
    assert outcome.stalled_after == pytest.approx(10.0, rel=0.25)
    assert outcome.percentile_ms(99) > 10_000


def test_a_topic_each_and_parking_keep_the_healthy_apart() -> None:
    for layout in (Layout.TOPIC_EACH, Layout.PARKED):
        well = simulate(replace(SMALL, layout=layout))
        ill = simulate(replace(SMALL, layout=layout, down_share=0.5, window=50))
        assert ill.percentile_ms(99) == pytest.approx(well.percentile_ms(99), rel=0.1)
        assert ill.stalled_after is None


def test_parking_holds_less_in_memory_than_a_topic_each_during_a_long_outage() -> None:
    each = simulate(replace(SMALL, layout=Layout.TOPIC_EACH, down_share=0.5))
    parked = simulate(replace(SMALL, layout=Layout.PARKED, down_share=0.5, max_in_flight=8))
    assert parked.parked > 500
    assert parked.most_in_hand < each.most_in_hand / 2


def test_many_partitions_make_a_fetch_late_at_both_hops() -> None:
    few = simulate(replace(SMALL, layout=Layout.TOPIC_EACH, fetched_partitions=100))
    many = simulate(replace(SMALL, layout=Layout.TOPIC_EACH, fetched_partitions=6000))
    assert many.percentile_ms(99) - few.percentile_ms(99) > 200


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert simulate(replace(SMALL, down_share=0.2)) == simulate(replace(SMALL, down_share=0.2))


def test_a_rebalance_grows_with_topics_times_workers() -> None:
    small, large = rebalance(Group(1000, 1, 10)), rebalance(Group(2000, 1, 20))
    assert 3 < large.assigned / small.assigned < 4
    assert 3 < large.record_bytes / small.record_bytes < 4


@pytest.mark.parametrize("group", [Group(500, 2, 3), Group(1000, 4, 2), Group(2500, 8, 6)])
def test_the_size_of_the_group_s_record_is_what_the_assignor_makes(group: Group) -> None:
    """The last has to be narrowed: plan and assignor decide the same."""
    assert rebalance(group).record_bytes == pytest.approx(measure_assignment(group).record_bytes, rel=0.01)
    assert (rebalance(group).readers < group.workers) == (
        group.workers == 6 or group.partitions < group.workers
    )


def test_the_record_is_as_large_as_aiokafka_s_and_far_smaller_than_faust_s() -> None:
    group = Group(400, 4, 4)
    ours, theirs, faust_s = (measure_assignment(group, name) for name in ASSIGNORS)
    assert ours.record_bytes == theirs.record_bytes
    assert faust_s.record_bytes > 2 * ours.record_bytes, "else it needs no standing in for"


def test_the_document_shows_what_the_simulation_gives() -> None:
    text = SCALE_FILE.read_text("utf-8")
    tables = {"isolation": isolation(), "rebalance": rebalances()}
    assert with_tables(text, tables) == text, "write it anew: python -m bench.simulate --write-docs"


def test_a_document_without_the_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="needs the mark"):
        with_tables("nothing", {"isolation": "| a |"})
