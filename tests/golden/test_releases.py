"""Records of later releases, derived from those of 4.3.0: recorded were only these.

A release's records have what its source adds; nothing of what wallets and the business server got may change.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from eventproc.payloads import business_server_body, client_body
from tests.golden.recorded import CONTEXT, NOW, TIMESTAMP_MS, Sample, load_samples, take_apart
from tests.golden.test_samples import FOR_CLIENTS, READABLE, by_name, event_of, sep_of

DERIVED: dict[str, dict[str, Any]] = {
    # 4.4 and later: whose the event is, at the top level of every type.
    "4.4, of a client": {"clientName": "reference", "clientDomain": "wallet.example.com"},
    "4.4, of none": {"clientName": None, "clientDomain": None},
}
OBJECTS = [s for s in load_samples() if s.value.startswith(b"{") and s in READABLE]


def derived(sample: Sample, members: dict[str, Any]) -> Sample:
    return replace(sample, value=json.dumps(json.loads(sample.value) | members).encode())


@pytest.mark.parametrize("release", DERIVED)
@pytest.mark.parametrize("sample", FOR_CLIENTS, ids=by_name)
def test_a_wallet_gets_the_same_body_from_every_release(sample: Sample, release: str) -> None:
    before, after = event_of(sample), event_of(derived(sample, DERIVED[release]))

    bodies = [take_apart(client_body(event, sep_of(event), CONTEXT, NOW)) for event in (before, after)]

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("release", DERIVED)
@pytest.mark.parametrize("sample", OBJECTS, ids=by_name)
def test_the_business_server_gets_the_same_body_from_every_release(sample: Sample, release: str) -> None:
    before, after = event_of(sample), event_of(derived(sample, DERIVED[release]))

    bodies = [json.loads(business_server_body(event, TIMESTAMP_MS)) for event in (before, after)]

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    "sample", [s for s in FOR_CLIENTS if s in OBJECTS and b'"transaction"' in s.value], ids=by_name
)
def test_the_business_server_gets_required_info_updates_as_4_8_publishes_them(sample: Sample) -> None:
    record = json.loads(sample.value)
    updates = {"transaction": {"receiver_account_number": {"description": "The receiver's account"}}}
    record["transaction"] |= {"required_info_updates": updates}

    event = event_of(replace(sample, value=json.dumps(record).encode()))
    body = json.loads(business_server_body(event, TIMESTAMP_MS))

    assert body["payload"]["transaction"]["required_info_updates"] == updates
