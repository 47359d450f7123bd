"""The number of dead letters that wait is that of the list, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.identifiers import DestinationId
from eventproc.letter_count import LetterCount
from eventproc.redrive import TopicRecord
from tests.unit.test_redrive import BUSINESS, OPS, WALLET, Op, Topic, key_of, played


def counted(records: list[TopicRecord], count: LetterCount | None = None) -> Counter[DestinationId]:
    count = count or LetterCount()
    for record in records:
        count.add(record)
    return count.by_destination()


@given(OPS)
def test_the_number_is_that_of_the_list(ops: list[Op]) -> None:
    topic, _ = played(ops)
    count = LetterCount()
    assert counted(topic.records, count) == Counter(entry.destination for entry in topic.waiting)
    assert count.is_exact


def test_a_letter_that_is_read_twice_counts_once() -> None:
    topic = Topic()
    topic.letter("a")
    assert counted(topic.records * 2) == {WALLET: 1}


@given(OPS, st.integers(0, 40))
def test_what_kafka_has_deleted_is_not_counted(ops: list[Op], beginning: int) -> None:
    topic, _ = played(ops)
    count = LetterCount()
    counted(topic.records, count)
    count.forget_before({0: beginning})
    kept = Topic([one for one in topic.records if one.offset >= beginning or not one.value])
    assert count.by_destination() == Counter(entry.destination for entry in kept.waiting)


def test_beyond_its_bound_notes_count_down_to_zero() -> None:
    topic = Topic()
    for number in range(10):
        topic.letter(f"w{number}", f"t{number}", WALLET)
        topic.letter(f"b{number}", f"t{number}", BUSINESS)
    count = LetterCount(copies_max=4)
    assert counted(topic.records, count) == {WALLET: 10, BUSINESS: 10}
    assert not count.is_exact
    letters, topic.records = topic.records, []
    for letter in letters:
        name = (letter.value or b"").decode()
        destination = WALLET if name.startswith("w") else BUSINESS
        topic.note(name, letter.offset, "t", destination)
    assert counted(topic.records, count) == {}
    assert count.is_exact


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("note", b"redriven")],
        [("note", b"else"), ("dead-letter-destination", b"d"), ("dead-letter-lane", b"t")],
    ],
)
def test_records_of_other_programs_count_for_nothing(headers: list[tuple[str, bytes]]) -> None:
    topic = Topic()
    topic.letter("a")
    foreign = TopicRecord(1, key_of(WALLET, "a"), b"x", list(headers))
    assert counted([*topic.records, foreign, replace(foreign, offset=2, key=None)]) == {WALLET: 1}
