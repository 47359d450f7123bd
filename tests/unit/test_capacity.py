"""The calculator: its formulas by hand, its promises for any load, its limits where they bind."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventproc import capacity
from eventproc.capacity import BUSIEST_UTILISATION, TARGET_UTILISATION, Load, Plan, plan_capacity
from eventproc.capacity_warnings import warnings_of
from eventproc.cli.plan import packaged_costs
from eventproc.delivery.fetch_pace import CHEAP_PARTITIONS, fetch_pace
from eventproc.measured_costs import Costs, CostsError, costs_of_result, read_costs, write_costs
from settings import load_settings

COSTS = replace(
    packaged_costs(),
    benchmark=replace(
        packaged_costs().benchmark,
        route_us_per_event=20.0,
        route_us_per_copy=40.0,
        delivery_us_jwt=200.0,
        delivery_us_signature=300.0,
        quiet_p50_ms=6.0,
        idle_mb=90.0,
    ),
)


def plan(**changes: Any) -> Plan:
    load = replace(Load(events_per_second=3000, latency_ms=50), **changes)
    return plan_capacity(load, COSTS)


def test_cpu_is_the_sum_of_its_parts() -> None:
    cores = plan().cores
    assert cores.routing == pytest.approx(3000 * (20 + 2 * 40) / 1e6)
    assert cores.business_server == pytest.approx(3000 * 200 / 1e6)
    assert cores.wallets == pytest.approx(3000 * 300 / 1e6)
    assert cores.fetching == 0


def test_workers_are_as_many_as_keep_six_tenths() -> None:
    assert plan(events_per_second=990.0).workers == 1  # 0.594 cores
    assert plan(events_per_second=1010.0).workers == 2  # 0.606
    # 1.8 cores on 3, but the one that routes, with 3 of 8 partitions, would be at 0.3 + 1.5 x 3/8 = 0.86.
    assert plan().workers == 4


def test_in_flight_is_rate_times_latency() -> None:
    assert plan().in_flight_business == pytest.approx(150)
    # 8 partitions on 4 workers are 2 each: 300 x 2/8 x 1.5 = 112.5, and the next multiple of 8.
    assert plan(latency_ms=100.0).max_in_flight == 120
    assert plan(latency_ms=1.0).max_in_flight == 64


def test_a_share_of_the_events_costs_a_share() -> None:
    half = plan(wallet_share=0.5)
    assert half.cores.wallets == pytest.approx(plan().cores.wallets / 2)
    assert half.cores.routing == pytest.approx(3000 * (20 + 1.5 * 40) / 1e6)
    alone = plan_capacity(Load(3000, 50, business_server=False), COSTS)
    assert alone.cores.business_server == 0
    assert "in flight to the business server" not in {limit.what for limit in alone.limits}


def test_the_largest_wallet_decides_what_is_for_each_destination() -> None:
    even = plan(wallets=100, business_server=False)
    uneven = plan(wallets=100, business_server=False, largest_wallet_share=0.9)
    assert even.partitions_for_largest_wallet == 1
    assert uneven.partitions_for_largest_wallet == 4  # 0.81 cores are two workers, twice that
    assert uneven.max_in_flight > even.max_in_flight


def test_many_destinations_have_fewer_partitions_and_a_paced_fetch() -> None:
    few, many = plan(), plan(wallets=2500)
    assert few.topic_partitions == 8
    assert many.topic_partitions < 8
    per_worker = many.latency.partitions_per_worker
    assert per_worker > CHEAP_PARTITIONS
    assert many.latency.pace == fetch_pace(per_worker, 20)
    assert many.latency.most_ms == pytest.approx(6.0 + 2 * many.latency.pace.apart)
    # As often as the pace lets it, here: so much CPU in so much time, on each worker.
    each = per_worker * COSTS.by_hand.fetch_us_per_partition / 1e6
    assert many.cores.fetching == pytest.approx(many.workers * each / (many.latency.pace.apart / 1000))


def test_a_quiet_worker_fetches_as_often_as_records_come_or_a_wait_ends() -> None:
    quiet = plan(events_per_second=1.0, wallets=2500)
    each = quiet.latency.partitions_per_worker * COSTS.by_hand.fetch_us_per_partition / 1e6
    assert quiet.cores.fetching == pytest.approx(quiet.workers * each * 1000 / quiet.latency.pace.wait)


def test_disk_holds_the_longest_outage_in_every_replica() -> None:
    day, two = plan(), plan(outage_hours=48.0)
    assert two.kafka.disk_gb == pytest.approx(2 * day.kafka.disk_gb)
    one = plan(replication=1)
    assert day.kafka.disk_gb == pytest.approx(3 * one.kafka.disk_gb)
    record = 1350 + COSTS.by_hand.record_overhead_bytes
    journal = 2 * COSTS.by_hand.journal_entry_bytes
    per_second = 3000 * (1350 + 2 * record + 2 * journal)
    assert one.kafka.disk_gb == pytest.approx(per_second * 86_400 / 1e9)


def test_what_waits_fits_into_memory_while_that_is_possible() -> None:
    assert plan().max_waiting == 1000
    many = plan(wallets=1000, latency_ms=5.0)
    assert many.max_in_flight <= many.max_waiting < 1000
    assert many.memory.all_down <= capacity.WORKER_MEMORY_MB


def test_the_group_s_record_binds_first_with_many_thousand_topics() -> None:
    many, enough = plan(wallets=10_000), plan(wallets=2500)
    assert many.limits[0].what == "the group's record in Kafka"
    assert many.limits[0].headroom < 1 < enough.limits[0].headroom
    assert any("max.message.bytes of __consumer_offsets" in sentence for sentence in warnings_of(many))
    assert not any("__consumer_offsets" in sentence for sentence in warnings_of(enough))


def test_a_plan_says_when_a_topic_is_shared_by_fewer_workers_than_there_are() -> None:
    busy = plan(events_per_second=12_000.0, wallets=400, largest_wallet_share=0.9)
    assert busy.kafka.workers_per_topic < min(busy.workers, busy.topic_partitions)
    assert busy.kafka.group_record_bytes <= capacity.GROUP_RECORD_BYTES
    assert any("share a wallet's events" in sentence for sentence in warnings_of(busy))
    assert plan().kafka.workers_per_topic == 4


def test_a_source_that_one_worker_cannot_route_is_split_and_that_is_said() -> None:
    small, large = plan(), plan(events_per_second=20_000.0)
    assert small.source_partitions == 1
    assert large.source_partitions == 4  # 2 cores / 0.6
    assert any("order of a transaction's events is lost" in sentence for sentence in warnings_of(large))


def test_a_load_that_no_group_bears_is_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        plan(events_per_second=1e9)


@settings(max_examples=30)
@given(
    rate=st.floats(1, 20_000),
    latency=st.floats(0, 5000),
    wallets=st.integers(1, 3000),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0, 1)),
    business=st.booleans(),
)
def test_any_plan_keeps_its_promises(
    rate: float, latency: float, wallets: int, shares: tuple[float, float], business: bool
) -> None:
    load = Load(rate, latency, wallets, business, *shares)
    made = plan_capacity(load, COSTS)
    assert made.cores.average <= TARGET_UTILISATION
    assert made.cores.busiest <= BUSIEST_UTILISATION
    assert made.cores.routing <= TARGET_UTILISATION * made.source_partitions
    assert [limit.headroom for limit in made.limits] == sorted(limit.headroom for limit in made.limits)
    assert made.max_waiting >= made.max_in_flight
    env = {"DELIVERY_MAX_IN_FLIGHT": str(made.max_in_flight), "DELIVERY_MAX_WAITING": str(made.max_waiting)}
    load_settings(env=env | {"TOPICS_PARTITIONS": str(made.topic_partitions)})
    if made.wanted_in_flight <= capacity.MOST_IN_FLIGHT:
        for limit in made.limits:
            assert not limit.what.startswith("in flight") or limit.headroom >= 1.4
    list(warnings_of(made))


def test_what_the_calculator_takes_for_defaults_are_the_defaults() -> None:
    from agents.wiring import FETCH_BYTES
    from eventproc.delivery.topics import plan_topics

    loaded = load_settings(env={})
    assert loaded.delivery.max_in_flight == capacity.DEFAULT_IN_FLIGHT
    assert loaded.delivery.max_waiting == capacity.DEFAULT_WAITING
    assert loaded.topics.partitions == capacity.PREFERRED_PARTITIONS
    assert loaded.consumer.fetch_max_wait_milliseconds == capacity.DEFAULT_FETCH_WAIT_MS
    assert capacity.FETCHED_BYTES == FETCH_BYTES
    beside = [topic.partitions for topic in plan_topics(loaded, []) if topic.name != loaded.topics.source]
    assert sorted(beside) == [1] * capacity.SINGLE_TOPICS + [capacity.JOURNAL_PARTITIONS]


def test_costs_are_read_as_they_were_written() -> None:
    assert read_costs(write_costs(COSTS)) == COSTS


def test_every_cost_measured_by_hand_says_how() -> None:
    by_hand = packaged_costs().by_hand
    assert set(by_hand.how) == set(type(by_hand).__dataclass_fields__) - {"how"}


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"benchmark": {}, "by_hand": {}}'])
def test_a_file_that_holds_no_costs_is_refused(text: str) -> None:
    with pytest.raises(CostsError, match="costs cannot be read"):
        read_costs(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"route": 3}'])
def test_a_file_that_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(CostsError, match="no result"):
        costs_of_result(text, COSTS)


def result(**sections: object) -> str:
    machine = {"processor": "a processor", "python": "3.12.0"}
    empty: dict[str, object] = {"route": [], "sink": [], "end_to_end": [], "backlog": []}
    return json.dumps({"date": "2026-01-01", "quick": False, "machine": machine} | empty | sections)


def measured(costs: Costs, **sections: object) -> Costs:
    return costs_of_result(result(**sections), costs)


def test_a_result_changes_what_it_measured_and_nothing_else() -> None:
    route = [{"topics": n, "cpu_us_per_event": 25 + 30 * n} for n in (1, 2, 10)]
    changed = measured(COSTS, route=route).benchmark
    assert (changed.route_us_per_event, changed.route_us_per_copy) == (25.0, 30.0)
    assert changed.delivery_us_jwt == COSTS.benchmark.delivery_us_jwt
    assert changed.measured.startswith("2026-01-01, full run, a processor")
    assert "delivery_us_jwt" in changed.measured
    assert measured(COSTS) == COSTS


def test_one_number_of_topics_says_nothing_of_a_copy() -> None:
    assert measured(COSTS, route=[{"topics": 2, "cpu_us_per_event": 500.0}]) == COSTS


def test_the_dearest_receiver_counts_and_the_rate_nearest_to_quiet() -> None:
    sink = [{"auth": "jwt", "cpu_us_per_delivery": us} for us in (150.0, 232.04, 190.0)]
    rates = [(0, 1.0), (10, 2.0), (100, 3.0), (500, 4.0)]
    quiet = [{"events_per_second": rate, "p50_ms": p50} for rate, p50 in rates]
    changed = measured(COSTS, sink=sink, end_to_end=quiet, backlog=[{"idle_mb": 88.88}]).benchmark
    assert changed.delivery_us_jwt == 232.0
    assert changed.quiet_p50_ms == 3.0
    assert changed.idle_mb == 88.9
