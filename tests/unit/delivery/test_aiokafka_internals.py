"""The overrides of aiokafka's insides: each still needed, each doing what it is for."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from eventproc.delivery.aiokafka_internals import partition_of


@given(st.binary(max_size=50), st.integers(1, 20))
def test_a_key_has_the_partition_that_every_client_gives_it(key: bytes, count: int) -> None:
    partitions = list(range(count))
    for _ in range(2):
        assert partition_of(key, partitions, []) == DefaultPartitioner()(key, partitions, [])


def test_without_a_key_a_partition_that_can_be_written_to_is_preferred() -> None:
    assert {partition_of(None, [0, 1, 2], [2]) for _ in range(20)} == {2}
    assert {partition_of(None, [0, 1], []) for _ in range(100)} == {0, 1}
