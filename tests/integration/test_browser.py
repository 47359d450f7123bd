"""A real worker's pages in a real browser: light, dark and on a phone, with hostile values on them.

The pictures stay in ``test-results/screenshots/`` for people to look at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.chromium import Chromium, missing_for_chromium
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, Reply, status
from tests.servers.request_record import RequestRecord
from tests.servers.worker import CHECKOUT, WorkerProcess
from tests.unit.pages.site import check_html

PICTURES = CHECKOUT / "test-results" / "screenshots"
FULL = {
    "overview",
    "destinations",
    "destination-refusing",
    "dead-letters",
    "transaction-retried",
    "operator-dead-letters",
}
"""Pages that are looked at in every look; of the others, two looks have both colours and both widths."""
TOKEN = "an-admin-token-of-32-characters!"
LOOKS = {"light": (1280, False), "dark": (1280, True), "phone": (390, False), "phone-dark": (390, True)}
HOSTILE = "<script>alert(1)</script>\r\n\u202e\x00<img src=x onerror=alert(2)>" + "x" * 3000
EVIL_CLIENT = '<b onclick="x">evil/né & "co"'

OVERFLOW = """
(() => {
  const wide = document.documentElement.clientWidth, found = [];
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (box.width && box.right > wide + 1 && !one.closest("nav, .unseen, svg"))
      found.push(`${one.tagName}.${one.className} ends at ${box.right} of ${wide}`);
  }
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return found.slice(0, 10);
})()
"""
"""Whatever sticks out of the window at its right."""

CONTRAST = """
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || one.closest("svg, option, .unseen") || !one.checkVisibility()) continue;
    let ground = one;
    while (ground && rgba(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
    const style = getComputedStyle(one);
    const [a, b] = [luminance(rgba(style.color)), luminance(rgba(getComputedStyle(ground || document.body).backgroundColor))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${one.tagName}.${one.className} ${walker.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found.slice(0, 10);
})()
"""
"""Text that is hard to read by WCAG 2.2 AA: less than 4.5 to 1, or 3 to 1 when it is large."""


@dataclass
class Scene:
    worker: WorkerProcess
    broker: Broker
    names: Names

    async def json(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.worker.url}{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


def answer_picky(record: RequestRecord, _number: int) -> Reply:
    """Refuses each third transaction with a hostile answer."""
    return status(422, HOSTILE.encode()) if "refused" in (record.event_id or "") else Answer(200)


def event(event_id: str, transaction: str, client: str, **members: Any) -> Record:
    value = event_value(event_id, transaction, client_name=client, **members)
    return Record(value, key=event_id.encode("utf-8", "replace"))


def deep(levels: int) -> Any:
    value: Any = "<script>"
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
async def scene(broker: Broker, names: Names, start_worker: StartWorker) -> AsyncIterator[Scene]:
    """A destination that is up, one that is down, one that refuses, one with an evil name; and dead letters."""
    async with (
        Receiver() as good,
        Receiver(respond=lambda _record, _number: status(503, b"<h1>down for maintenance</h1>")) as down,
        Receiver(respond=answer_picky) as picky,
    ):
        clients = [
            noncustodial_client("lobstr", good.url, domains=["lobstr.example"]),
            noncustodial_client("vibrant", down.url, domains=["vibrant.example"], seps=["sep24"]),
            noncustodial_client("decaf", picky.url, domains=["decaf.example"], seps=["sep24"]),
            noncustodial_client(EVIL_CLIENT, picky.url, domains=["evil.example"], seps=["sep24"]),
        ]
        extra = {
            "SECRET_WEB_ADMIN_TOKEN": TOKEN,
            "DELIVERY_RETRY_POISON_ATTEMPTS": "2",
            "DELIVERY_RETRY_INITIAL_SECONDS": "0.05",
            "DELIVERY_RETRY_MAX_SECONDS": "2",
            "DELIVERY_BREAKER_OPEN_INITIAL_SECONDS": "30",
            "TIMELINE_FLUSH_SECONDS": "0.2",
        }
        env = anchor_env(broker.bootstrap, business_url=good.url, clients=clients, names=names, extra=extra)
        found = Scene(await start_worker(env), broker, names)
        await broker.publish(names.source, _traffic())
        await _until(found, lambda by_id: all(
            (
                by_id["client.decaf.sep24"]["dead_lettered"] >= 4,
                by_id[f"client.{EVIL_CLIENT}.sep24"]["dead_lettered"] >= 2,
                by_id["client.lobstr.sep24"]["deliveries"] >= 40,
                by_id["client.vibrant.sep24"]["condition"] == "breaker_open",
            )
        ))  # fmt: skip
        yield found


def _traffic() -> list[Record]:
    return [
        *(event(f"ok-{n}", f"t-{n % 20}", "lobstr") for n in range(40)),
        *(event(f"down-{n}", f"d-{n}", "vibrant") for n in range(12)),
        *(event(f"{'refused' if n % 3 == 0 else 'taken'}-{n}", f"p-{n}", "decaf") for n in range(12)),
        event("refused-hostile", HOSTILE, EVIL_CLIENT, note=HOSTILE, deep=deep(150)),
        event("refused-\ud800<i>", "../..", EVIL_CLIENT, note="x" * 200_000),
        Record(b'{"id": "<script>", "type": "\\u202e<b>"}', key=b"<b>"),
    ]


async def _until(scene: Scene, is_there: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        by_id = {one["id"]: one for one in await scene.json("/destinations/")}
        if is_there(by_id):
            return
        assert asyncio.get_running_loop().time() < deadline, by_id
        await asyncio.sleep(0.2)


async def _letter_path(scene: Scene, event_id: str) -> str:
    """The page of the one dead letter with this event id."""
    letters = (await scene.json("/dead-letters/"))["letters"]
    return next(_path_of(letter) for letter in letters if letter["event_id"] == event_id)


def _path_of(letter: dict[str, Any]) -> str:
    return f"/dead-letters/{quote(letter['destination'], safe='')}/{letter['source']}"


@pytest.fixture
async def browser() -> AsyncIterator[Chromium]:
    if missing := missing_for_chromium():
        message = f"the pages' pictures need {' and '.join(missing)} on the PATH"
        if os.environ.get("CI"):
            pytest.fail(f"{message}, and CI must not skip these tests", pytrace=False)
        pytest.skip(message)
    async with Chromium() as chromium:
        yield chromium


async def look_at(browser: Chromium, scene: Scene, name: str, path: str) -> None:
    """Load a page in every look, take its picture, and hold it to what every page promises."""

    async def load() -> None:
        await browser.open(scene.worker.url + path)

    await _each_look(browser, name, load)


async def _each_look(browser: Chromium, name: str, load: Callable[[], Awaitable[None]]) -> None:
    for look, (width, dark) in LOOKS.items():
        if name not in FULL and look in {"dark", "phone"}:
            continue
        await browser.look(width=width, dark=dark)
        await load()
        await browser.picture(PICTURES / f"{name}-{look}.png")
        assert browser.complaints == [], f"{name}, {look}"
        assert await browser.evaluate(OVERFLOW) == [], f"{name}, {look}"
        assert await browser.evaluate(CONTRAST) == [], f"{name}, {look}"
        assert await browser.evaluate("document.querySelectorAll('script, [onclick], [onerror]').length") == 0


async def test_every_page_in_every_look_without_a_complaint(browser: Chromium, scene: Scene) -> None:
    evil = quote(f"client.{EVIL_CLIENT}.sep24", safe="")
    pages = {
        "overview": "/?refresh=0",
        "destinations": "/destinations/",
        "destination-up": "/destinations/client.lobstr.sep24?refresh=0",
        "destination-down": "/destinations/client.vibrant.sep24?refresh=0",
        "destination-refusing": "/destinations/client.decaf.sep24?refresh=0",
        "destination-hostile": f"/destinations/{evil}?refresh=0",
        "dead-letters": "/dead-letters/",
        "dead-letter": await _letter_path(scene, "refused-0"),
        "transactions": "/transactions/",
        "transaction": "/transactions/t-1",
        "transaction-retried": "/transactions/p-0",
        "transaction-waiting": "/transactions/d-0",
        "transaction-hostile": f"/transactions/?id={quote(HOSTILE.replace(chr(0), '')[:200])}",
        "transaction-none": "/transactions/nothing-of-the-kind",
        "login": "/login",
    }
    for name, path in pages.items():
        await look_at(browser, scene, name, path)
    await browser.look()
    await browser.open(scene.worker.url + "/no/such/page")
    browser.complaints.clear()  # Chromium complains of every 404
    assert "404" in await browser.evaluate("document.querySelector('h1').textContent")


async def test_an_operator_logs_in_sends_again_and_pauses(browser: Chromium, scene: Scene) -> None:
    url = scene.worker.url
    await browser.look()
    await browser.open(f"{url}/dead-letters/?destination=client.decaf.sep24")
    assert await browser.evaluate("document.querySelectorAll('main button.primary, [name=key]').length") == 0
    await browser.open(f"{url}/login?next=%2Fdead-letters%2F")
    await browser.submit(
        f"document.querySelector('[name=token]').value = {TOKEN!r}; document.querySelector('main form').requestSubmit()"
    )
    assert await browser.evaluate("location.pathname") == "/dead-letters/"
    for name, path in {
        "operator-dead-letters": "/dead-letters/?destination=client.decaf.sep24",
        "operator-dead-letter": await _letter_path(scene, "refused-0"),
        "operator-dead-letter-hostile": await _letter_path(scene, "refused-hostile"),
        "operator-destination": "/destinations/client.lobstr.sep24?refresh=0",
    }.items():
        await look_at(browser, scene, name, path)

    async def preview() -> None:
        await browser.open(f"{url}/dead-letters/?destination=client.decaf.sep24")
        await browser.submit(
            "document.querySelectorAll('[name=key]')[1].checked = true; document.querySelector('[name=key]').checked = true; document.querySelector('main p.act button').click()"
        )

    await _each_look(browser, "operator-preview", preview)
    assert "Send 2 again" in await browser.evaluate(
        "document.querySelector('main button.primary').textContent"
    )
    before = len(await scene.broker.read_all(scene.names.topic("client.decaf.sep24")))
    await browser.submit("document.querySelector('main button.primary').click()")
    assert "2 sent again" in await browser.evaluate("document.querySelector('.notice.good').textContent")
    await browser.picture(PICTURES / "operator-sent.png")
    after = await scene.broker.read_all(scene.names.topic("client.decaf.sep24"))
    assert len(after) == before + 2
    assert all(record.headers["redriven"] for record in after if b"redriven" in str(record.headers).encode())

    await browser.open(f"{url}/destinations/client.lobstr.sep24?refresh=0")
    await browser.submit(
        "document.querySelector('[name=by]').value = 'night shift'; document.querySelector('[name=reason]').value = '<i>INC-7'; document.querySelector('button.danger').click()"
    )
    await _until(scene, lambda by_id: by_id["client.lobstr.sep24"]["paused"])
    await look_at(browser, scene, "operator-paused", "/destinations/client.lobstr.sep24?refresh=0")
    assert "night shift" in await browser.evaluate("document.querySelector('.notice').textContent")
    await browser.submit("document.querySelector('form.act button').click()")
    await _until(scene, lambda by_id: not by_id["client.lobstr.sep24"]["paused"])
    await browser.open(url)
    await browser.submit("document.querySelector('.session button').click()")
    assert await browser.evaluate("document.querySelector('.session a').textContent") == "Log in"
    assert browser.complaints == []
    assert TOKEN not in scene.worker.log_text()
    code, _ = await scene.worker.terminate()
    assert code == 0, "an open browser holds no worker back"


async def test_what_is_hostile_comes_through_a_worker_as_text(scene: Scene) -> None:
    headers = {"Accept": "text/html", "Authorization": f"Bearer {TOKEN}"}
    letters = await scene.json("/dead-letters/")
    paths = ["/", "/destinations/", "/dead-letters/"]
    for letter in letters["letters"]:
        paths.append(_path_of(letter))
        paths.append(f"/transactions/?id={quote(letter['transaction_id'])}")
    paths.append(f"/destinations/{quote(f'client.{EVIL_CLIENT}.sep24', safe='')}")
    async with aiohttp.ClientSession(headers=headers, max_line_size=65536) as session:
        for path in paths:
            if len(path) > 8000:
                continue
            async with session.get(URL(scene.worker.url + path, encoded=True)) as answer:
                text = await answer.text()
                assert answer.status == 200, (path, text[:500])
                assert "<script" not in text
                assert len(text) < 400_000
                check_html(text)
