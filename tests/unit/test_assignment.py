"""Who reads what: every partition once, evenly, and no more bytes than Kafka takes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from eventproc.assignment import Sharing, share_out

AMPLE = 1 << 30

names = st.text("abc.", min_size=1, max_size=30)
topic_sets = st.dictionaries(names, st.integers(0, 12).map(range), max_size=25)
member_names = st.lists(st.uuids().map(str), min_size=1, max_size=9, unique=True)


def topics(count: int, partitions: int) -> dict[str, range]:
    return {f"eventproc.client.wallet-{number:06}.sep24": range(partitions) for number in range(count)}


def group(names: Mapping[str, object], workers: int) -> dict[str, list[str]]:
    return {f"worker-{number}": list(names) for number in range(workers)}


def loads(sharing: Sharing) -> list[int]:
    return [sum(map(len, share.values())) for share in sharing.shares.values()]


def readers(sharing: Sharing, topic: str) -> int:
    return sum(topic in share for share in sharing.shares.values())


@given(topic_sets, st.data())
def test_every_partition_is_read_once_by_a_member_that_wants_it(
    found: dict[str, range], data: st.DataObject
) -> None:
    wants = st.sets(st.sampled_from([*sorted(found), "unknown"]))
    members = data.draw(st.dictionaries(st.uuids().map(str), wants, min_size=1, max_size=9))
    sharing = share_out(found, members, data.draw(st.integers(0, 20_000)), data.draw(wants))
    given_out = [
        (topic, partition)
        for share in sharing.shares.values()
        for topic, partitions in share.items()
        for partition in partitions
    ]
    wanted = {topic for names in members.values() for topic in names}
    every = [
        (topic, partition) for topic, all_of_it in found.items() if topic in wanted for partition in all_of_it
    ]
    assert sorted(given_out) == sorted(every)
    assert set(sharing.shares) == set(members)
    assert all(set(share) <= set(members[member]) for member, share in sharing.shares.items())


@given(topic_sets, member_names)
def test_of_each_topic_and_of_all_nobody_has_more_than_one_above_anybody(
    found: dict[str, range], members: list[str]
) -> None:
    sharing = share_out(found, dict.fromkeys(members, found), AMPLE)
    assert max(loads(sharing)) - min(loads(sharing)) <= 1
    for topic in found:
        each = [len(share.get(topic, ())) for share in sharing.shares.values()]
        assert max(each) - min(each) <= 1


@given(topic_sets, member_names, st.integers(0, 20_000))
def test_a_bound_costs_no_more_balance_than_one_topic_s_share(
    found: dict[str, range], members: list[str], max_bytes: int
) -> None:
    sharing = share_out(found, dict.fromkeys(members, found), max_bytes)
    largest = max((len(part) for share in sharing.shares.values() for part in share.values()), default=0)
    assert max(loads(sharing)) - min(loads(sharing)) <= max(largest, 1)


@given(topic_sets, member_names, st.integers(0, 20_000))
def test_a_bound_is_kept_where_it_can_be_and_topics_are_as_wide_as_it_allows(
    found: dict[str, range], members: list[str], max_bytes: int
) -> None:
    wants = dict.fromkeys(members, found)
    sharing = share_out(found, wants, max_bytes)
    ample, narrowest = share_out(found, wants, AMPLE), share_out(found, wants, 0)
    assert narrowest.record_bytes <= sharing.record_bytes <= max(max_bytes, narrowest.record_bytes)
    if sharing.most_readers < len(members):
        assert ample.record_bytes > max_bytes
        assert all(readers(sharing, topic) <= sharing.most_readers for topic in found)
    else:
        assert sharing == ample


@given(topic_sets, member_names, st.randoms())
def test_the_same_group_gets_the_same_whoever_reckons(
    found: dict[str, range], members: list[str], order: Random
) -> None:
    def shuffled(mapping: Mapping[str, range]) -> dict[str, range]:
        return dict(order.sample(sorted(mapping.items()), len(mapping)))

    one = share_out(found, {member: list(found) for member in members}, 5000)
    order.shuffle(members)
    other = share_out(shuffled(found), {member: list(shuffled(found)) for member in members}, 5000)
    assert one == other


def test_a_record_that_fits_is_left_alone_and_one_that_does_not_is_narrowed() -> None:
    found = topics(2500, 8)
    four, six, ten = (share_out(found, group(found, workers), 1_048_588) for workers in (4, 6, 10))
    assert four.most_readers == 4
    assert (six.most_readers, readers(six, "eventproc.client.wallet-000007.sep24")) == (3, 3)
    assert max(loads(six)) - min(loads(six)) <= 1
    assert six.record_bytes <= 1_048_588 < ten.record_bytes
    assert ten.most_readers == 1


def test_a_wide_topic_is_never_narrowed() -> None:
    found = topics(100, 8) | {"business": range(8)}
    sharing = share_out(found, group(found, 8), 0, wide={"business"})
    assert readers(sharing, "business") == 8
    assert {readers(sharing, topic) for topic in topics(100, 8)} == {1}


def test_a_topic_that_only_some_want_yet_goes_to_those() -> None:
    """In a reload, when one worker has taken the new client over and the others have not."""
    found = topics(3, 4) | {"new": range(4)}
    members = group(topics(3, 4), 2) | {"ahead": list(found)}
    sharing = share_out(found, members, AMPLE)
    assert sharing.shares["ahead"]["new"] == [0, 1, 2, 3]
    assert sum(loads(sharing)) == 16
