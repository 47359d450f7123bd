"""The platform's own traffic, recorded, against ours: equal as it is, and each change to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eventproc.events import Event, decode
from eventproc.identifiers import DestinationId
from eventproc.shadow.compare import Kind
from eventproc.shadow.diff import NOT_ITS_OWN, REFUNDS, Report, Rules, diff, subject_of
from eventproc.shadow.proof import Proof
from eventproc.shadow.request import SentRequest
from tests.golden.recorded import SECRET, load_samples
from tests.golden.traffic import (
    BUSINESS,
    URLS,
    both_sides,
    our_request,
    our_requests,
    platform_bytes,
    platform_request,
    platform_requests,
    wallet_of,
)
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_PUBLIC_KEY

PROOF = Proof(
    [TEST_PUBLIC_KEY], "jwt", "Authorization", CALLBACK_SECRET.encode(), {"sep6": SECRET, "sep24": SECRET}
)
RULES = Rules(URLS, PROOF)
WALLET = wallet_of("sep24")
SAMPLE = next(sample for sample in load_samples() if sample.name == "s24_wd_completed")


def event_of(sample: Any) -> Event:
    event = decode(sample.value)
    assert isinstance(event, Event)
    return event


def one_event() -> tuple[list[SentRequest], list[SentRequest]]:
    """One SEP-24 event, to the business server and to the wallet."""
    return list(platform_requests(SAMPLE)), list(our_requests(event_of(SAMPLE)))


def kinds(report: Report) -> list[tuple[Kind, str]]:
    return [(one.difference.kind, one.difference.path) for one in report.found]


def test_all_that_the_platform_really_sent_is_what_we_would_send() -> None:
    there, here = both_sides()
    report = diff(there, here, RULES)

    assert report.paired == len(there) >= 35
    # An anchor with members of its own: the platform drops them, we pass them on.
    assert {one.difference.path.rpartition(".")[2] for one in report.found} == {
        *("zzz", "nested", "claimable_balance_id")
    }
    assert all(one.destination == BUSINESS and one.difference.there is None for one in report.found)
    assert report.expected[REFUNDS] == 2
    assert sum(report.expected.values()) > 50


def test_the_same_report_is_json() -> None:
    there, here = one_event()
    told = json.loads(json.dumps(diff(there[:1], here, RULES).to_json()))

    assert told["paired"] == 1
    assert told["captured"]["requests"] == 1
    assert told["captured"]["first"] == "2026-11-24T10:24:57.500Z"
    (only,) = told["differences"]
    assert (only["kind"], only["destination"]) == ("extra", WALLET)
    assert only["about"] == "00aaee99-9a7a-337a-9202-292ff26aa90e"


def changed(request: SentRequest, change: Callable[[Any], None]) -> SentRequest:
    """The request with another body, signed as it is."""
    body = json.loads(request.body)
    change(body)
    return platform_bytes(WALLET, json.dumps(body).encode())


def set_amount(body: Any) -> None:
    body["transaction"]["amount_in"] = "100.5"


def drop_fee(body: Any) -> None:
    del body["transaction"]["fee_details"]["asset"]


def add_member(body: Any) -> None:
    body["transaction"]["surprise"] = ["1.10"]


def null_the_kind(body: Any) -> None:
    body["transaction"]["kind"] = None


@pytest.mark.parametrize(
    ("change", "path", "there", "here"),
    [
        (set_amount, "transaction.amount_in", '"100.5"', '"100.50"'),
        (drop_fee, "transaction.fee_details.asset", None, '"iso4217:USD"'),
        (add_member, "transaction.surprise", '["1.10"]', None),
        (null_the_kind, "transaction.kind", "null", '"withdrawal"'),
    ],
)
def test_each_change_of_a_body_is_found_where_it_is(
    change: Callable[[Any], None], path: str, there: str | None, here: str | None
) -> None:
    captured, made = one_event()
    report = diff([captured[0], changed(captured[1], change)], made, RULES)

    (found,) = report.found
    assert (found.destination, found.difference.kind) == (WALLET, Kind.BODY)
    assert (found.difference.path, found.difference.there, found.difference.here) == (path, there, here)


@pytest.mark.parametrize(
    "ignored", ["transaction.amount_in", "transaction", "transaction.amount_*", "*.amount_in"]
)
def test_what_is_ignored_may_differ_and_nothing_else(ignored: str) -> None:
    captured, made = one_event()
    there = [captured[0], changed(captured[1], set_amount)]

    assert diff(there, made, replace(RULES, ignored=[ignored])).found == []
    assert len(diff(there, made, replace(RULES, ignored=["transaction.amount_out"])).found) == 1


def test_a_number_is_not_the_text_of_it_and_its_digits_count() -> None:
    def numbers(digits: str) -> bytes:
        return b'{"transaction": {"id": "t", "status": "s", "n": %s}}' % digits.encode()

    for there, here, same in [("1.10", "1.10", True), ("1.1", "1.10", False), ('"1.1"', "1.1", False)]:
        report = diff(
            [platform_bytes(WALLET, numbers(there))], [our_request(WALLET, numbers(here), "e")], RULES
        )
        assert (report.found == []) is same, (there, here)


def test_a_link_s_token_may_be_younger_but_not_say_something_else() -> None:
    captured, made = one_event()
    assert kinds(diff(captured, made, RULES)) == []
    link = SAMPLE.client["sep24"]["transaction"]["more_info_url"]
    other = json.loads(json.dumps(SAMPLE.client["sep24"]))
    other["transaction"]["more_info_url"] = {
        "base": link["base"].replace("8091", "8092"),
        "transaction_id": link["transaction_id"],
        "claims": link["claims"] | {"client_name": "another"},
    }
    report = diff([captured[0], platform_request(WALLET, other)], made, RULES)

    at = "transaction.more_info_url"
    assert kinds(report) == [(Kind.BODY, f"{at}.address"), (Kind.BODY, f"{at}.claims")]


def test_another_secret_of_the_links_is_found_though_the_claims_are_the_same() -> None:
    proof = replace(PROOF, link_secrets={"sep24": b"another secret than the platform's"})
    (found,) = diff(*one_event(), replace(RULES, proof=proof)).found

    assert (found.difference.kind, found.difference.path) == (Kind.PROOF, "transaction.more_info_url.token")


def test_a_signature_over_other_bytes_or_by_another_key_is_found() -> None:
    captured, made = one_event()
    touched = replace(captured[1], body=captured[1].body.replace(b'"completed"', b'"completed" '))
    other_key = replace(PROOF, accounts=["GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG"])

    at = [(Kind.PROOF, "header.signature")]
    assert kinds(diff([captured[0], touched], made, RULES)) == at
    assert kinds(diff(captured, made, replace(RULES, proof=other_key))) == at


def test_a_platform_that_calls_through_a_proxy_signs_for_the_proxy() -> None:
    captured, made = one_event()
    there = platform_bytes(WALLET, captured[1].body, "http://capture.example.com:9000/sep24")

    assert kinds(diff([captured[0], there], made, RULES)) == []


@pytest.mark.parametrize("bad", ["Bearer a.b.c", "Basic xyz", None])
def test_a_token_of_another_secret_is_found(bad: str | None) -> None:
    captured, made = one_event()
    headers = {k: v for k, v in (captured[0].headers or {}).items() if k != "Authorization"}
    headers |= {} if bad is None else {"Authorization": bad}
    report = diff([replace(captured[0], headers=headers), captured[1]], made, RULES)

    assert (Kind.PROOF, "header.authorization") in kinds(report)
    other = replace(PROOF, auth_secret=b"another secret of at least 32 bytes, surely")
    assert kinds(diff(captured, made, replace(RULES, proof=other))) == [(Kind.PROOF, "header.authorization")]


def test_an_api_key_is_compared_with_the_configured_one() -> None:
    made = [SentRequest(URLS[BUSINESS], b"{}", {"X-Api-Key": "********"}, BUSINESS)]
    key = Proof((), "api_key", "X-Api-Key", b"the key")
    for value, same in [("the key", True), ("another", False)]:
        there = SentRequest(URLS[BUSINESS], b"{}", {"X-Api-Key": value})
        assert (kinds(diff([there], made, Rules(URLS, key))) == []) is same


def test_what_its_receiver_found_wrong_counts_where_headers_were_not_captured() -> None:
    captured, made = one_event()
    plain = replace(captured[1], headers=None)

    assert kinds(diff([captured[0], plain], made, RULES)) == []
    wrong = replace(plain, is_right=False)
    assert kinds(diff([captured[0], wrong], made, RULES)) == [(Kind.PROOF, "header.signature")]


def test_headers_that_only_one_side_has_are_found_and_those_of_the_way_are_not() -> None:
    captured, made = one_event()
    headers = {**(captured[1].headers or {}), "X-Tenant": "a", "X-Forwarded-For": "10.0.0.1", "Via": "1.1 p"}
    other = {**headers, "Content-Type": "text/plain"}
    assert kinds(diff([captured[0], replace(captured[1], headers=headers)], made, RULES)) == [
        (Kind.HEADER, "header.x-tenant")
    ]
    assert (Kind.HEADER, "header.content-type") in kinds(
        diff([captured[0], replace(captured[1], headers=other)], made, RULES)
    )


def test_what_only_one_side_sent_is_missing_or_extra() -> None:
    captured, made = one_event()

    assert kinds(diff(captured, made[1:], RULES)) == [(Kind.MISSING, "")]
    assert kinds(diff(captured[1:], made, RULES)) == [(Kind.EXTRA, "")]


def test_a_retry_of_the_platform_and_a_replay_of_ours_are_neither() -> None:
    captured, made = one_event()
    report = diff([*captured, captured[1], captured[0]], [*made, made[1]], RULES)

    assert (report.found, report.paired, report.repeated) == ([], 2, 3)


def status(transaction: str, state: str, **members: Any) -> bytes:
    return json.dumps({"transaction": {"id": transaction, "status": state, **members}}).encode()


def wallets(*states: str) -> list[SentRequest]:
    return [platform_bytes(WALLET, status("t", state)) for state in states]


def ours(*states: str) -> list[SentRequest]:
    return [our_request(WALLET, status("t", state), f"e{n}") for n, state in enumerate(states)]


def test_the_order_of_a_transaction_counts_and_that_between_transactions_does_not() -> None:
    assert diff(wallets("a", "b", "c"), ours("a", "b", "c"), RULES).found == []
    (found,) = diff(wallets("a", "b", "c"), ours("a", "c", "b"), RULES).found
    assert (found.difference.kind, found.difference.there, found.difference.here) == (
        Kind.ORDER,
        "a b c",
        "a c b",
    )

    there = [platform_bytes(WALLET, status(t, "a")) for t in ("t1", "t2")]
    here = [our_request(WALLET, status(t, "a"), t) for t in ("t2", "t1")]
    assert diff(there, here, RULES).found == []


def test_events_of_one_status_are_paired_by_their_content() -> None:
    """The platform's bodies have neither an event's id nor, for SEP-24, updated_at."""
    there = [platform_bytes(WALLET, status("t", "pending", message=m)) for m in ("one", "two")]
    here = [our_request(WALLET, status("t", "pending", message=m), m) for m in ("zero", "one", "two")]
    report = diff(there, here, RULES)

    (found,) = report.found
    assert found.difference.kind is Kind.EXTRA
    assert "zero" in str(found.difference.here)


def test_where_nothing_is_the_same_the_rest_is_compared_in_its_order() -> None:
    there = [platform_bytes(WALLET, status("t", "pending", message=m)) for m in ("1", "2")]
    here = [our_request(WALLET, status("t", "pending", message=m), m) for m in ("one", "two")]

    assert [(one.difference.there, one.difference.here) for one in diff(there, here, RULES).found] == [
        ('"1"', '"one"'),
        ('"2"', '"two"'),
    ]


def test_a_body_that_is_no_json_is_compared_byte_for_byte() -> None:
    made = [our_request(WALLET, b"not json", "e")]

    assert diff([platform_bytes(WALLET, b"not json")], made, RULES).found == []
    assert kinds(diff([platform_bytes(WALLET, b"not  json")], made, RULES)) == [
        (Kind.MISSING, ""),
        (Kind.EXTRA, ""),
    ]


# -- whose is it -----------------------------------------------------------------------------------

OTHER = DestinationId("client.other.sep24")
TWO_CLIENTS = replace(
    RULES,
    urls=URLS | {OTHER: "https://other.example.com/cb"},
    is_for=lambda destination, transaction: f".{transaction['client_name']}." in destination,
)


def told_to_everybody() -> list[SentRequest]:
    captured, _ = one_event()
    return [*captured, platform_bytes(OTHER, captured[1].body, "https://other.example.com/cb")]


def test_that_another_client_is_no_longer_told_is_expected() -> None:
    _, made = one_event()
    report = diff(told_to_everybody(), made, TWO_CLIENTS)

    assert report.found == []
    assert report.expected[NOT_ITS_OWN] == 1


def test_that_the_owner_is_not_told_is_never_expected() -> None:
    _, made = one_event()
    report = diff(told_to_everybody(), made[:1], TWO_CLIENTS)

    assert [(one.destination, one.difference.kind) for one in report.found] == [(WALLET, Kind.MISSING)]


def test_without_a_business_server_the_one_client_that_was_told_is_taken_for_the_owner() -> None:
    _, made = one_event()
    there = told_to_everybody()[1:]

    assert diff(there, made[1:], TWO_CLIENTS).found == []
    assert len(diff(there, [], TWO_CLIENTS).found) == 2


# -- where did it go -------------------------------------------------------------------------------


def test_a_capture_may_know_less_than_the_url() -> None:
    captured, made = one_event()
    only_path = replace(captured[1], url="/sep24")
    by_name = replace(captured[1], url="http://anything/else", destination=WALLET)

    for there in (only_path, by_name):
        assert diff([captured[0], there], made, RULES).paired == 2


@pytest.mark.parametrize("url", ["http://business.example.com/customer", "/elsewhere"])
def test_what_goes_to_none_of_ours_is_told_unless_ignored(url: str) -> None:
    captured, made = one_event()
    there = [*captured, replace(captured[0], url=url)]

    assert kinds(diff(there, made, RULES)) == [(Kind.UNASSIGNED, "")]
    assert diff(there, made, replace(RULES, ignored_urls=["*/customer", "/else*"])).found == []


def test_a_path_that_two_destinations_have_is_nobody_s() -> None:
    captured, made = one_event()
    urls = URLS | {OTHER: "https://other.example.com/sep24"}
    report = diff([replace(captured[1], url="/sep24")], made, replace(RULES, urls=urls))

    assert (Kind.UNASSIGNED, "") in kinds(report)


def test_an_event_is_known_by_its_id_a_wallet_s_by_transaction_and_status() -> None:
    business, wallet = one_event()[1]
    customer = SentRequest("u", b'{"id": 7, "status": "ACCEPTED"}')

    assert subject_of(business) == (
        "00aaee99-9a7a-337a-9202-292ff26aa90e",
        "90ce2ede-b932-373d-85ea-b7eb312b3ad4",
    )
    assert subject_of(wallet) == ("00aaee99-9a7a-337a-9202-292ff26aa90e", "completed")
    assert subject_of(customer) == ("7", "ACCEPTED")
