"""What a rejection means, by what is recorded of its destination."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.acceptance import (
    AcceptanceBook,
    Mark,
    Standing,
    accepted_record,
    rejecting_record,
    standing_of,
)
from eventproc.auth import ApiKeyAuth, JwtAuth, NoAuth, StellarSignature
from eventproc.auth.fingerprints import DIGEST_HEX
from eventproc.auth.succession import Succession
from eventproc.destinations import Endpoint
from eventproc.destinations.fingerprint import endpoint_fingerprint
from eventproc.identifiers import DestinationId
from tests.servers.anchor_env import TEST_SEED as SEED

HOURS = 24 * 3600.0
FINGERPRINTS = st.sampled_from(["now", "before", "long ago"])
MARKS = st.none() | st.builds(Mark, FINGERPRINTS, st.floats(0, 1e6))
HERE = DestinationId("client.a.sep24")


@given(MARKS, MARKS, st.floats(0, 2e6), st.floats(0, HOURS))
def test_only_an_acceptance_under_this_configuration_proves_and_waiting_is_bounded(
    accepted: Mark | None, rejecting: Mark | None, now: float, max_seconds: float
) -> None:
    found = standing_of("now", accepted, rejecting, now, max_seconds)
    assert (found is Standing.PROVEN) == (accepted is not None and accepted.fingerprint == "now")
    if found is Standing.UNPROVEN:
        begun = rejecting is not None and rejecting.fingerprint == "now"
        assert not begun or rejecting is None or now - rejecting.at < max_seconds
    if rejecting is not None and rejecting.fingerprint == "now":
        later = standing_of("now", accepted, rejecting, rejecting.at + max_seconds + 1, max_seconds)
        assert later is not Standing.UNPROVEN


@given(st.lists(st.tuples(st.booleans(), st.builds(Mark, FINGERPRINTS, st.floats(0, 1e6)))))
def test_rejections_never_overwrite_an_acceptance(records: list[tuple[bool, Mark]]) -> None:
    """Also in the compacted topic, where only the last record of each key is left."""
    whole, compacted = AcceptanceBook(), AcceptanceBook()
    last: dict[bytes, bytes] = {}
    for is_acceptance, mark in records:
        key, value = (accepted_record if is_acceptance else rejecting_record)(HERE, mark)
        whole.apply(key, value)
        last[key] = value
    for key, value in last.items():
        compacted.apply(key, value)
    marks = [mark for is_acceptance, mark in records if is_acceptance]
    assert whole.accepted.get(HERE) == (marks[-1] if marks else None)
    assert (whole.accepted, whole.rejecting) == (compacted.accepted, compacted.rejecting)


@given(st.binary() | st.none(), st.binary() | st.none())
def test_any_record_can_be_read(key: bytes | None, value: bytes | None) -> None:
    AcceptanceBook().apply(key, value)


def test_what_is_written_tells_no_secret() -> None:
    """A digest of 16 bits fits one in 65,536 candidates, so it confirms no guess; no digest is longer."""
    key = ApiKeyAuth("hunter2", "X-Key").fingerprint(0)
    token = JwtAuth(b"correct horse battery staple", 300_000, "Authorization").fingerprint(0)
    for found in (key, token):
        assert len(found.rpartition(" ")[2]) == DIGEST_HEX == 4
    url = endpoint_fingerprint(Endpoint("https://u:hunter2@a.test/x?token=hunter2"))
    assert len(url.rpartition(" ")[2]) == DIGEST_HEX
    same_public = endpoint_fingerprint(Endpoint("https://a.test/x"))
    assert url.split()[0] == same_public.split()[0], "the long digest is of what is public"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ApiKeyAuth("a", "X-Key"), ApiKeyAuth("b", "X-Key")),
        (ApiKeyAuth("a", "X-Key"), ApiKeyAuth("a", "X-Other")),
        (JwtAuth(b"a" * 32, 5000, "A"), JwtAuth(b"b" * 32, 5000, "A")),
        (NoAuth(), ApiKeyAuth("a", "X-Key")),
        (StellarSignature(SEED, "a.test"), StellarSignature(SEED, "b.test")),
    ],
)
def test_another_key_is_another_fingerprint(one: NoAuth, other: NoAuth) -> None:
    assert one.fingerprint(0) != other.fingerprint(0)
    assert one.fingerprint(0) == one.fingerprint(1e9)


def test_a_planned_key_counts_from_its_time_on() -> None:
    before, after = ApiKeyAuth("a", "X-Key"), ApiKeyAuth("b", "X-Key")
    both = Succession(before, after, 100.0)
    assert both.fingerprint(99) == before.fingerprint(0)
    assert both.fingerprint(100) == after.fingerprint(0)


@pytest.mark.parametrize(
    "url", ["http://a.test/x", "https://b.test/x", "https://a.test/y", "https://a.test/x?token=another"]
)
def test_another_url_is_another_fingerprint(url: str) -> None:
    assert endpoint_fingerprint(Endpoint(url)) != endpoint_fingerprint(Endpoint("https://a.test/x"))
