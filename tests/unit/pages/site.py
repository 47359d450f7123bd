"""A worker's pages with fake engines, no Kafka, and a browser or a script to ask them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from agents.wiring import create_app
from eventproc.dead_letters import DeadLetter, DeadLetterReason, LetterId, dead_letter_headers, letter_id
from eventproc.delivery.engine import Engine, EngineParts
from eventproc.delivery.history import History
from eventproc.delivery.letter_window import Window
from eventproc.destinations import Destination
from eventproc.identifiers import DestinationId, LaneKey
from eventproc.records import Headers, Source, source_headers
from eventproc.redrive import Plan, TopicRecord, WaitingLetters, read_id
from eventproc.timeline import Reading, Timeline, fold
from settings import load_settings
from tests.fakes.clock import FakeClock
from tests.fakes.dead_letters import FakeDeadLetters, FakeFlow
from tests.fakes.records import destination
from tests.fakes.sender import FakeSender
from tests.servers.anchor_env import TEST_SEED

TOKEN = "an-admin-token-of-32-characters!"
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Site": "same-origin",
}
AT = "2026-11-24T10:00:00.000Z"


@dataclass
class FakeLetters:
    """A dead-letter topic in memory."""

    records: list[TopicRecord] = field(default_factory=list)
    sent: list[Plan] = field(default_factory=list)
    older_records: int = 0
    failure: Exception | None = None
    reads: int = 0
    kept: set[LetterId] = field(default_factory=set)

    def add(self, event_id: str, lane: str = "t1", at: str = "client.acme.sep24", **changes: Any) -> LetterId:
        """A dead letter at a destination: its key."""
        facts: dict[str, Any] = {
            "detail": "HTTP 422",
            "status": 422,
            "excerpt": b"no such field",
            "value": None,
        } | changes
        letter = DeadLetter(
            DestinationId(at),
            LaneKey(lane),
            facts.get("reason", DeadLetterReason.REJECTED),
            10,
            facts["detail"],
            facts["status"],
            facts["excerpt"],
        )
        headers: Headers = [
            ("event-id", event_id.encode("utf-8", "replace")),
            ("event-type", b"transaction_status_changed"),
            *source_headers(Source("TRANSACTION", 0, len(self.records), 1_795_500_000_000)),
            *facts.get("headers", []),
        ]
        id_ = letter_id(letter.destination, headers, ("", 0, 0))
        value = facts["value"] or json.dumps({"id": event_id, "amount": "1.10"}).encode()
        self.records.append(
            TopicRecord(len(self.records), id_.key, value, dead_letter_headers(letter, headers, AT))
        )
        return id_

    async def read(self, keeps_value: Callable[[LetterId], bool]) -> Window:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        letters = WaitingLetters()
        for record in self.records:
            id_ = read_id(record)
            keeps = id_ is not None and keeps_value(id_)
            if keeps and id_ is not None:
                self.kept.add(id_)
            letters.add(
                TopicRecord(record.offset, record.key, record.value if keeps else None, record.headers)
            )
        return Window(letters.entries(), self.older_records)

    async def send(self, plan: Plan) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(plan)
        gone = {send.entry.id for send in plan.sends}
        self.records = [record for record in self.records if read_id(record) not in gone]


@dataclass
class Site:
    """``client`` keeps cookies, as a browser does."""

    app: Any
    client: TestClient[Any, Any]
    letters: FakeLetters
    clock: FakeClock
    pauses: list[tuple[str, bool, str, str]] = field(default_factory=list)
    timelines: dict[str, list[Any]] = field(default_factory=dict)
    senders: dict[str, FakeSender] = field(default_factory=dict)

    def engine(self, name: str = "client.acme.sep24", url: str = "") -> Engine:
        """A destination with a fake receiver; partition 0 of its topic is ours."""
        plain = destination(name)
        one = Destination(
            plain.id,
            f"eventproc.{name}",
            plain.endpoint if not url else type(plain.endpoint)(url),
            plain.authenticator,
            plain.build_body,
        )
        sender = self.senders[name] = FakeSender()
        parts = EngineParts(sender, FakeDeadLetters(), FakeFlow(), self.clock, draw=lambda: 1.0)
        engine = Engine(one, self.app.parts.settings.delivery, parts)
        engine.assign(("eventproc.test", 0), 0, "")
        self.app.parts.engines[one.id] = engine
        return engine

    @property
    def history(self) -> History:
        history: History = self.app.parts.history
        return history

    async def get(self, path: str, **headers: str) -> aiohttp.ClientResponse:
        """As a browser; nothing is followed. ``path`` is sent as it is."""
        return await self.client.get(
            URL(path, encoded=True), headers=BROWSER | headers, allow_redirects=False
        )

    async def html(self, path: str) -> str:
        """A page that must be there."""
        answer = await self.get(path)
        text = await answer.text()
        assert answer.status == 200, text
        assert answer.content_type == "text/html"
        check_html(text)
        return text

    async def json(self, path: str, **headers: str) -> Any:
        """As a program."""
        answer = await self.client.get(URL(path, encoded=True), headers=headers)
        assert answer.content_type == "application/json"
        return json.loads(await answer.text())

    async def post(
        self, path: str, fields: Mapping[str, Any] | list[tuple[str, str]] | None = None, **headers: str
    ) -> aiohttp.ClientResponse:
        """As a browser's form."""
        return await self.client.post(
            URL(path, encoded=True),
            data=aiohttp.FormData(dict(fields) if isinstance(fields, Mapping) else fields or [("", "")]),
            headers=BROWSER | headers,
            allow_redirects=False,
        )

    async def log_in(self) -> str:
        """From now on the browser has a session: the token for its forms."""
        answer = await self.post("/login", {"token": TOKEN})
        assert answer.status == 303, await answer.text()
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', await self.html("/"))
        assert found is not None
        return found[1]


@asynccontextmanager
async def a_site(*, token: str | None = TOKEN, **env: str) -> AsyncIterator[Site]:
    """The pages of a worker whose destinations a test adds."""
    clients = json.dumps({"items": []})
    given = {"CLIENTS_TYPE": "json", "CLIENTS_VALUE": clients, "SECRET_SEP10_SIGNING_SEED": TEST_SEED} | env
    if token is not None:
        given["SECRET_WEB_ADMIN_TOKEN"] = token
    app = create_app(load_settings(env=given))
    app.web.init_server()
    async with TestClient(TestServer(app.web.web_app)) as client:
        site = Site(app, client, FakeLetters(), FakeClock())
        app.parts.engines.clear()

        async def timeline(lane: str, since_seconds: float) -> Timeline:
            return fold(
                lane, site.timelines.get(lane, []), 1_795_500_600.0, Reading(1_795_500_600.0 - since_seconds)
            )

        async def pause(id_: DestinationId, paused: bool, by: str, reason: str) -> None:
            site.pauses.append((id_, paused, by, reason))

        app.desk.letters = site.letters
        app.desk.read_timeline = timeline
        app.desk.set_paused = pause
        app.desk.wall = site.clock.wall
        yield site


VOID = {"meta", "link", "img", "input", "br"}
OURS = {
    "html", "head", "meta", "title", "link", "body", "header", "div", "a", "img", "nav", "form", "input", "button",
    "main", "h1", "h2", "h3", "p", "section", "ul", "li", "b", "table", "thead", "tbody", "tr", "th", "td", "dl", "dt",
    "dd", "footer", "span", "label", "select", "option", "code", "time", "small", "figure", "figcaption", "svg", "path",
    "rect", "pre", "article", "datalist", "br",
}  # fmt: skip


class _Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if tag not in OURS:
            self.problems.append(f"<{tag}>")
        if any(name.startswith("on") or name == "style" for name in names) or len(names) != len(set(names)):
            self.problems.append(f"<{tag} {names}>")
        self.problems += [
            f"{name}={value}"
            for name, value in attrs
            if name in {"href", "src", "action"} and not (value or "").startswith("/")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}>")


def check_html(text: str) -> None:
    """Tags of ours alone, each closed, no script and no address elsewhere: nothing of a value became markup."""
    found = _Structure()
    found.feed(text)
    found.close()
    assert found.problems == []
    assert found.open == []
    for char in text:
        assert char.isprintable() or char == "\n", hex(ord(char))
