"""Dead letters on their pages: found, shown, and sent again only as it was shown."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from eventproc.dead_letters import DeadLetterReason, LetterId
from eventproc.delivery.letter_window import TooLargeError
from eventproc.errors import BrokerUnavailableError
from tests.unit.pages.site import TOKEN, Site, a_site

ACME = "client.acme.sep24"
OTHER = "client.acme.sep6"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def key_text(id_: LetterId) -> str:
    return base64.urlsafe_b64encode(id_.text.encode()).decode()


def events(facts: dict[str, Any], name: str) -> list[str]:
    return [one["event_id"] for one in facts[name]]


async def preview(site: Site, fields: list[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """The plan's page, and the fields of the form that confirms it."""
    answer = await site.post("/dead-letters/redrive", fields)
    text = await answer.text()
    assert answer.status == 200, text
    form = re.search(r'<form class="act".*?</form>', text, re.DOTALL)
    found = re.findall(r'name="(\w+)" value="([^"]*)"', form[0] if form else "")
    return text, found


async def test_the_newest_come_first_and_filters_leave_out_the_others() -> None:
    async with a_site() as site:
        for number in range(120):
            site.letters.add(f"e{number}", f"t{number}", ACME if number % 2 else OTHER)
        site.letters.add("held", "t1", ACME, reason=DeadLetterReason.HELD)
        assert (await site.json("/dead-letters/"))["total"] == 121
        assert events(await site.json("/dead-letters/"), "letters")[:3] == ["held", "e119", "e118"]
        text = await site.html("/dead-letters/?page=2")
        assert "51–100 of 121 dead letters" in text
        assert (await site.json(f"/dead-letters/?destination={ACME}"))["total"] == 61
        assert (await site.json("/dead-letters/?destination=client.acme"))["total"] == 121
        assert events(await site.json("/dead-letters/?reason=held-behind-dead-letter"), "letters") == ["held"]
        assert "No dead letter fits" in await site.html("/dead-letters/?destination=nobody")


async def test_many_who_look_read_the_topic_once() -> None:
    async with a_site() as site:
        for _ in range(5):
            await site.html("/dead-letters/")
        assert site.letters.reads == 1


async def test_the_list_keeps_no_body_in_memory() -> None:
    async with a_site() as site:
        site.letters.add("e1")
        await site.html("/dead-letters/")
        assert site.letters.kept == set()


async def test_a_body_is_for_operators_alone() -> None:
    async with a_site() as site:
        key = site.letters.add("e1", value=b'{"id": "e1", "amount": 1.10, "iban": "DE-1"}')
        path = f"/dead-letters/{ACME}/TRANSACTION/0/0"
        text = await site.html(path)
        assert "DE-1" not in text
        assert "log in" in text
        assert (await site.json(path))["value"] is None
        assert site.letters.kept == set()
        assert "DE-1" in (await site.json(path, **BEARER))["value"]
        await site.log_in()
        text = await site.html(path)
        assert "DE-1" in text
        assert "1.10" in text, "digits as written"
        assert site.letters.kept == {key}


async def test_a_letter_that_is_gone_is_not_found() -> None:
    async with a_site() as site:
        answer = await site.get(f"/dead-letters/{ACME}/TRANSACTION/0/7")
        assert answer.status == 404
        assert "redriven" in await answer.text()


async def test_selected_letters_are_shown_and_then_sent() -> None:
    async with a_site() as site:
        site.engine(ACME)
        keys = [site.letters.add(f"e{number}", f"t{number}") for number in range(5)]
        token = await site.log_in()
        chosen = [("form_token", token), *(("key", key_text(key)) for key in (keys[3], keys[1]))]
        text, form = await preview(site, chosen)
        assert "Send 2 again" in text
        assert site.letters.sent == []
        assert site.letters.kept == set(), "a look needs no bodies"
        answer = await site.post("/dead-letters/redrive", form)
        assert site.letters.kept == {keys[1], keys[3]}
        assert answer.status == 303
        (plan,) = site.letters.sent
        assert [send.entry.event_id for send in plan.sends] == ["e1", "e3"], "in the topic's order"
        assert all(send.topic == f"eventproc.{ACME}" for send in plan.sends)
        assert all(send.value for send in plan.sends)
        assert all(send.headers[-1] == ("redriven", plan.at.encode()) for send in plan.sends)
        text = await site.html(answer.headers["Location"])
        assert "2 sent again" in text
        assert (await site.json("/dead-letters/"))["total"] == 3, "what was remembered is forgotten"


async def test_all_of_a_filter_are_shown_and_then_sent() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.engine(OTHER)
        for number in range(150):
            site.letters.add(f"e{number}", f"t{number}", ACME if number % 3 else OTHER)
        token = await site.log_in()
        text, form = await preview(site, [("form_token", token), ("destination", ACME)])
        assert "Send 100 again" in text
        await site.post("/dead-letters/redrive", form)
        (plan,) = site.letters.sent
        assert len(plan.sends) == 100
        assert {send.entry.destination for send in plan.sends} == {ACME}


async def test_what_changed_since_it_was_shown_is_shown_again_and_not_sent() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        token = await site.log_in()
        _, form = await preview(site, [("form_token", token), ("destination", ACME)])
        site.letters.add("e2")
        answer = await site.post("/dead-letters/redrive", form)
        text = await answer.text()
        assert answer.status == 409
        assert "has changed since you looked" in text
        assert "Send 2 again" in text
        assert site.letters.sent == []


async def test_a_second_click_sends_nothing_twice() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        token = await site.log_in()
        _, form = await preview(site, [("form_token", token), ("destination", ACME)])
        first = await site.post("/dead-letters/redrive", form)
        second = await site.post("/dead-letters/redrive", form)
        assert (first.status, second.status) == (303, 409)
        assert len(site.letters.sent) == 1


async def test_an_earlier_event_that_would_be_overtaken_stops_it_and_can_be_taken_along() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("early", "t")
        site.letters.add("elsewhere", "u")
        late = site.letters.add("late", "t")
        token = await site.log_in()
        text, form = await preview(site, [("form_token", token), ("key", key_text(late))])
        assert "would overtake" in text
        assert "Send 1 again" not in text
        forced = await site.client.post(
            "/dead-letters/redrive", data={"key": key_text(late), "confirm": "yes"}, headers=BEARER
        )
        assert forced.status == 409
        assert events(await forced.json(), "gaps") == ["late"]
        assert site.letters.sent == []
        text, form = await preview(site, form)
        assert "Send 2 again" in text
        await site.post("/dead-letters/redrive", form)
        assert [send.entry.event_id for send in site.letters.sent[0].sends] == ["early", "late"]


async def test_what_nobody_serves_is_named_and_left() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1", "t1", ACME)
        site.letters.add("e2", "t2", "client.gone.sep24")
        token = await site.log_in()
        text, _ = await preview(site, [("form_token", token), ("reason", "rejected")])
        assert "Send 1 again" in text
        assert "client.gone.sep24 is not in the configuration" in text


async def test_with_older_records_unread_nothing_is_sent() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        site.letters.older_records = 5
        token = await site.log_in()
        text = await site.html("/dead-letters/")
        assert "eventproc deadletter" in text
        assert "Send selected" not in text
        text, form = await preview(site, [("form_token", token), ("destination", ACME)])
        assert form == []
        answer = await site.client.post(
            "/dead-letters/redrive", data={"destination": ACME, "confirm": "yes"}, headers=BEARER
        )
        assert answer.status == 409
        assert site.letters.sent == []


async def test_a_script_sees_first_and_sends_then() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        dry = await site.client.post("/dead-letters/redrive", data={"destination": ACME}, headers=BEARER)
        assert dry.status == 200
        assert events(await dry.json(), "not_sent") == ["e1"]
        done = await site.client.post(
            "/dead-letters/redrive", data={"destination": ACME, "confirm": "yes"}, headers=BEARER
        )
        assert done.status == 200
        facts = await done.json()
        assert events(facts, "sent") == ["e1"]
        assert facts["sent"][0]["topic"] == f"eventproc.{ACME}"
        assert len(site.letters.sent) == 1


async def test_nothing_named_is_not_everything() -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        answer = await site.client.post("/dead-letters/redrive", data={"confirm": "yes"}, headers=BEARER)
        assert answer.status == 400
        answer = await site.client.post(
            "/dead-letters/redrive", data={"confirm": "yes", "all": "yes"}, headers=BEARER
        )
        assert answer.status == 200
        assert len(site.letters.sent) == 1


@pytest.mark.parametrize("key", ["!", "x", "é", "\x00"])
async def test_a_key_that_is_none_is_refused(key: str) -> None:
    async with a_site() as site:
        answer = await site.client.post("/dead-letters/redrive", data={"key": key}, headers=BEARER)
        assert answer.status == 400


@pytest.mark.parametrize(
    "error", [BrokerUnavailableError("Kafka at k:9092: gone."), TooLargeError("too much")]
)
async def test_trouble_in_sending_is_said_and_the_letters_wait(error: Exception) -> None:
    async with a_site() as site:
        site.engine(ACME)
        site.letters.add("e1")
        site.letters.failure = error
        answer = await site.client.post(
            "/dead-letters/redrive", data={"destination": ACME, "confirm": "yes"}, headers=BEARER
        )
        assert answer.status == 503
        assert str(error) in await answer.text()


@pytest.mark.parametrize(
    "query",
    [
        "sent=<b>&mark=x",
        "sent=1&mark=pwned",
        "sent=%C2%B2&mark=2026-11-24T10:00:00Z",
        f"sent={'9' * 70}&mark=2026-11-24T10:00:00Z",
    ],
)
async def test_the_address_cannot_make_the_page_say_things(query: str) -> None:
    async with a_site() as site:
        assert "sent again, marked" not in await site.html(f"/dead-letters/?{query}")
