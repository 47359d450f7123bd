"""Hostile values in every field that a page shows: they stay text, are cut, and the page is there."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from eventproc.delivery.engine import Engine
from eventproc.delivery.stats import DeliveryError
from eventproc.pauses import Pause
from eventproc.redrive import TopicRecord
from tests.unit.pages.site import Site, a_site, check_html
from tests.unit.pages.test_looking import journal

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onmouseover=alert(1) x='",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "entity": "&lt;script&gt;&#60;&amp",
    "crlf": "a\r\nSet-Cookie: a=b\r\n\r\n<h1>",
    "nul": "a\x00b\x1b[31m",
    "surrogate": "a\ud800b\udfff",
    "direction": "abc\u202edcba\u2066\u200f\ufeff",
    "comment": "--><!--]]>",
    "url": "javascript:alert(1)//..%2F",
    "long": "x" * 1_000_000,
    "wide": "𝕏\u0301" * 5000,
    "deep": '{"a":' * 50_000,
    "empty": "",
    "dots": "..",
}
PAGE_BYTES = 300_000

each = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())


async def look(site: Site, path: str) -> str:
    text = await site.html(path)
    assert len(text.encode()) < PAGE_BYTES
    return text


def spoil(engine: Engine, text: str) -> None:
    for _ in range(20):
        engine.stats.error(
            DeliveryError(1_795_500_000.0, text, text, 500, text, text.encode("utf-8", "surrogatepass"))
        )


@each
async def test_a_destination_with_hostile_errors_and_pause(text: str) -> None:
    async with a_site() as site:
        await site.log_in()
        engine = site.engine()
        spoil(engine, text)
        site.app.parts.control._book._paused[engine.destination.id] = Pause(text, text, text)
        page = await look(site, "/destinations/client.acme.sep24")
        assert ("{{ 7 * 7 }}" in page) == ("{{ 7 * 7 }}" in text), "it is text, not a template"
        await look(site, "/destinations/")
        await site.json("/destinations/client.acme.sep24")


@each
async def test_a_destination_with_a_hostile_name(text: str) -> None:
    async with a_site() as site:
        await site.log_in()
        spoil(site.engine(f"client.{text}.sep24"), "x")
        for path in ("/", "/destinations/", "/destinations/?q=%3Cscript%3E"):
            await look(site, path)
        if len(text) < 1000 and text.isprintable():
            await look(site, f"/destinations/{quote(f'client.{text}.sep24', safe='')}")


@each
async def test_a_dead_letter_hostile_in_every_field(text: str) -> None:
    async with a_site() as site:
        await site.log_in()
        site.engine()
        raw = text.encode("utf-8", "surrogatepass")
        site.letters.add(text, text, detail=text, excerpt=raw, value=raw, headers=[("traceparent", raw), (text.encode("utf-8", "replace").decode(), raw)])  # fmt: skip
        site.letters.add(
            "e2", text, f"client.{text.encode('utf-8', 'replace').decode()}", value=b'{"a": "' + raw + b'"}'
        )
        await look(site, "/dead-letters/")
        await site.json("/dead-letters/")
        await look(site, "/dead-letters/client.acme.sep24/TRANSACTION/0/0")
        await site.json("/dead-letters/client.acme.sep24/TRANSACTION/0/0")
        token = await site.log_in()
        answer = await site.post("/dead-letters/redrive", {"form_token": token, "reason": "rejected"})
        assert answer.status == 200
        page = await answer.text()
        assert len(page.encode()) < PAGE_BYTES
        check_html(page)


@each
async def test_a_timeline_hostile_in_every_field(text: str) -> None:
    async with a_site() as site:
        lane = (
            "t" if not text or len(text) > 1000 or text == ".." else text.encode("utf-8", "replace").decode()
        )
        site.timelines[lane] = [*journal(lane, text, text, f"client.{text}"), *journal(lane, "e2")[:1]]
        site.timelines[lane.strip()] = site.timelines[lane]
        site.app.parts.control._book._paused["client.acme.sep24"] = Pause(text, text, text)
        await look(site, f"/transactions/?id={quote(lane)}")
        await site.json(f"/transactions/?id={quote(lane)}")


@each
async def test_hostile_questions(text: str) -> None:
    if len(text) > 5000:
        text = text[:5000]
    asked = quote(text.encode("utf-8", "surrogatepass"))
    async with a_site() as site:
        site.engine()
        for path in (
            f"/destinations/?q={asked}&state={asked}&sort={asked}&page={asked}",
            f"/dead-letters/?destination={asked}&reason={asked}&page={asked}",
            f"/transactions/?hours={asked}",
            f"/?refresh={asked}",
        ):
            answer = await site.get(path if len(path) < 8000 else path[:8000])
            assert answer.status in {200, 400}, path[:100]
            if answer.content_type == "text/html":
                check_html(await answer.text())
        answer = await site.get(f"/{asked[:3000]}")
        assert answer.status in {200, 308, 404}
        answer = await site.get(f"/login?next={asked[:3000]}")
        assert answer.status == 200


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"|", b"<script>|<b>"])
async def test_foreign_records_in_the_dead_letter_topic(key: bytes | None) -> None:
    async with a_site() as site:
        await site.log_in()
        ours: list[tuple[str, bytes | None]] = [
            ("dead-letter-destination", b"\xff<b>"),
            ("dead-letter-lane", b"\xfe"),
        ]
        records: list[Any] = [
            TopicRecord(0, key, None, []),
            TopicRecord(1, key, b"\xff\x00", ours),
            TopicRecord(
                2, key, b"\xff\x00", [*ours, ("dead-letter-attempts", b"x"), ("dead-letter-at", b"<b>")]
            ),
        ]
        site.letters.records = records
        await look(site, "/dead-letters/")
        await site.json("/dead-letters/")
