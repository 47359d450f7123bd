from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventproc.offset_plan import GroupPosition, plan_import, platform_group

offsets = st.dictionaries(st.integers(0, 3), st.integers(0, 50))


def test_the_group_furthest_behind_decides_in_each_partition() -> None:
    groups = [GroupPosition("a", {0: 5, 1: 9}), GroupPosition("b", {0: 7, 1: 2}, members=1)]
    plan = plan_import(groups, {0: 0, 1: 0}, {0: 1})

    assert plan.starts == {0: 5, 1: 2}
    assert [(one.name, one.twice, one.members) for one in plan.groups] == [("a", 7, 0), ("b", 2, 1)]
    assert (plan.own, plan.expired) == ({0: 1}, 0)


def test_a_partition_that_a_group_never_read_is_read_from_its_beginning() -> None:
    plan = plan_import([GroupPosition("a", {0: 5})], {0: 1, 1: 3}, {})

    assert plan.starts == {0: 5, 1: 3}
    assert plan.expired == 0


def test_what_expired_before_a_group_read_it_is_counted_and_not_asked_for() -> None:
    plan = plan_import([GroupPosition("a", {0: 5}), GroupPosition("b", {0: 20})], {0: 8}, {})

    assert plan.starts == {0: 8}
    assert plan.expired == 3
    assert [one.twice for one in plan.groups] == [0, 12]


@given(st.lists(offsets, min_size=1), st.dictionaries(st.integers(0, 3), st.integers(0, 50)))
def test_nothing_is_left_out_and_nothing_is_asked_for_that_is_not_there(
    found: list[dict[int, int]], begins: dict[int, int]
) -> None:
    groups = [GroupPosition(str(number), one) for number, one in enumerate(found)]
    plan = plan_import(groups, begins, {})

    assert set(plan.starts) == set(begins)
    for partition, start in plan.starts.items():
        assert start >= begins[partition]
        for group in groups:
            assert start <= max(group.offsets.get(partition, 0), begins[partition])
    assert all(one.twice >= 0 for one in plan.groups)


def test_a_client_s_group_is_known_by_its_domains_in_any_order() -> None:
    group = GroupPosition("group-client-status-callback-b.example,a.example", {0: 1})
    known = [group, GroupPosition("group-client-status-callback-a.example", {0: 1})]

    assert platform_group(frozenset({"a.example", "b.example"}), known) is group
    assert platform_group(frozenset({"c.example"}), known) is None


def test_of_two_groups_of_the_business_server_the_living_one_counts_else_the_later() -> None:
    old, new = GroupPosition("group-callback-api-", {0: 9}), GroupPosition("group-callback-api", {0: 4})

    assert platform_group("callback-api", [old, new]) is old
    living = GroupPosition("group-callback-api", {0: 4}, members=1)
    assert platform_group("callback-api", [old, living]) is living
    assert platform_group("callback-api", [GroupPosition("group-callback-apis", {0: 1})]) is None
