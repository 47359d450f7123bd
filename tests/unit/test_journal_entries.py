"""Entries of attempts: packed for the many, found for the one."""

from __future__ import annotations

import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.journal_entries import (
    MAX_RECORD_BYTES,
    Attempt,
    DeadLettered,
    Entry,
    Invalid,
    JournalRecordError,
    Redriven,
    Routed,
    Skipped,
    decode,
    encode,
    partition_of,
)
from eventproc.records import Source

SOURCE = Source("TRANSACTION", 0, 7, 1_795_621_872_000)
ATTEMPT = Attempt(
    lane="t1",
    event_id="e1",
    source=SOURCE,
    at=1795621872.123,
    destination="client.acme.sep24",
    number=2,
    seconds=0.0123,
    outcome="failed",
    kind="status",
    status=503,
    detail="HTTP 503",
    next_try_at=1795621880.5,
    redriven=None,
)

times = st.floats(0, 4e9, allow_nan=False)
maybe_text = st.none() | st.text()
lanes = st.sampled_from(["t1", "t2", 'with "quotes"\n', "é\u2028", "", "t"])
numbers = st.integers(0, 2**63 - 1)
sources = st.none() | st.builds(Source, st.text(), st.integers(0, 99), numbers, numbers)
common = {"lane": lanes, "event_id": st.text(), "source": sources, "at": times, "worker": st.just("")}
texts = st.lists(st.text(), max_size=3).map(tuple)
entries: st.SearchStrategy[Entry] = st.one_of(
    st.builds(
        Routed,
        **common,
        event_type=st.text(),
        sep=maybe_text,
        match=st.text(),
        destinations=texts,
        unbuildable=texts,
        misfit=maybe_text,
    ),
    st.builds(Invalid, **common, reason=st.text(), detail=st.text()),
    st.builds(
        Attempt,
        **common,
        destination=st.text(),
        number=st.integers(1, 2**31),
        seconds=times,
        outcome=st.text(),
        kind=maybe_text,
        status=st.none() | st.integers(100, 999),
        detail=maybe_text,
        next_try_at=st.none() | times,
        redriven=maybe_text,
    ),
    st.builds(
        DeadLettered,
        **common,
        destination=st.text(),
        reason=st.text(),
        detail=st.text(),
        attempts=st.integers(0, 2**31),
        status=st.none() | st.integers(100, 999),
    ),
    st.builds(Skipped, **common, destination=st.text(), why=st.text()),
    st.builds(Redriven, **common, destination=st.text()),
)


def packed(value: object) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(orjson.dumps(value, default=tuple)) + packer.flush()


@given(st.lists(entries, max_size=20), lanes)
def test_a_lane_gets_back_its_own_entries_in_order_and_no_other(written: list[Entry], lane: str) -> None:
    found = decode(encode(written, "host/1"), lane)
    assert found == [entry._replace(worker="host/1") for entry in written if entry.lane == lane]
    assert [type(entry) for entry in found] == [type(entry) for entry in written if entry.lane == lane]


def test_the_form_of_a_record_is_what_other_versions_read() -> None:
    plain = orjson.loads(zlib.decompress(encode([ATTEMPT], "host/1"), 31))
    assert plain == [
        1,
        "host/1",
        [
            [
                "attempt",
                [
                    *("t1", "e1", ["TRANSACTION", 0, 7, 1795621872000], 1795621872.123),
                    *(
                        "client.acme.sep24",
                        2,
                        0.0123,
                        "failed",
                        "status",
                        503,
                        "HTTP 503",
                        1795621880.5,
                        None,
                    ),
                ],
            ]
        ],
    ]


def test_half_a_surrogate_pair_costs_no_bundle_and_the_lane_is_found_by_what_took_its_place() -> None:
    value = encode([ATTEMPT._replace(lane="t\ud800", detail="\udfff"), ATTEMPT], "w")
    assert [entry.lane for entry in decode(value, "t1")] == ["t1"]
    for lane in ("t\ud800", "t?"):
        (entry,) = decode(value, lane)
        assert isinstance(entry, Attempt)
        assert (entry.lane, entry.detail) == ("t?", "?")


def test_a_number_beyond_all_bounds_costs_no_bundle() -> None:
    value = encode([ATTEMPT._replace(source=SOURCE._replace(offset=10**30)), ATTEMPT], "w")
    assert [entry.source and entry.source.offset for entry in decode(value, "t1")] == [2**63 - 1, 7]


def test_a_lane_that_is_only_mentioned_is_not_found() -> None:
    value = encode([ATTEMPT._replace(lane="other", event_id="t1", detail="t1")], "w")
    assert decode(value, "t1") == []


def test_what_a_later_version_adds_is_left_out() -> None:
    fields = [*ATTEMPT[:-1], "something new"]
    value = packed([1, "w", [["novelty", ["t1", 1]], ["attempt", fields]]])
    assert decode(value, "t1") == [ATTEMPT._replace(worker="w")]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no gzip",
        encode([ATTEMPT], "w")[:-1],
        packed("t1"),
        packed(["t1"]),
        packed([2, "w", [["attempt", list(ATTEMPT[:-1])]]]),
        packed([1, "w", ["t1", 5]]),
        packed([1, "w", [["attempt", []], "t1"]]),
        packed([1, "w", [["attempt", ["t1"]]]]),
        packed([1, "w", [["attempt", ["t1", "e", None, "soon", *ATTEMPT[4:-1]]]]]),
        packed([1, ["w"], [["attempt", list(ATTEMPT[:-1])]]]),
        packed("t1" + " " * MAX_RECORD_BYTES),
    ],
)
def test_what_cannot_be_read_is_an_error_of_ours(value: bytes) -> None:
    with pytest.raises(JournalRecordError):
        decode(value, "t1")


def test_a_lanes_partition_is_the_same_for_ever() -> None:
    transaction = "5e3a0d2c-1b7f-4a53-9a0e-2f7c1c1f8f10"
    assert [partition_of(transaction, count) for count in (1, 8, 12)] == [0, 2, 10]
    assert {partition_of(f"t{number}", 8) for number in range(100)} == set(range(8))
    assert partition_of("t\ud800", 8) == partition_of("t?", 8)
