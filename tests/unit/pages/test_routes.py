"""Which pages there are, for whom, and what every answer carries."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.unit.pages.site import TOKEN, a_site

ROUTES = {
    "HEAD,GET /",
    "HEAD,GET /health/live",
    "HEAD,GET /health/ready",
    "HEAD,GET /metrics",
    "HEAD,GET /destinations/",
    "HEAD,GET /destinations/{id}",
    "HEAD,POST /destinations/{id}/{what}",
    "HEAD,GET /transactions/",
    "HEAD,GET /transactions/{id}",
    "HEAD,GET /dead-letters/",
    "HEAD,POST /dead-letters/redrive",
    "HEAD,GET /dead-letters/{destination}/{topic}/{partition}/{offset}",
    "HEAD,GET,POST /login",
    "HEAD,POST /logout",
    "HEAD,GET /static/{name}",
    "HEAD,GET /stats/",
    "HEAD,GET /stats/assignment/",
}
OPEN = ("/health/live", "/health/ready", "/login", "/static/pages.css", "/static/icon.svg")
CLOSED = (
    "/",
    "/destinations/",
    "/destinations/x",
    "/transactions/",
    "/dead-letters/",
    "/metrics",
    "/stats/",
    "/nope",
)


async def test_the_routes_are_these() -> None:
    async with a_site() as site:
        found: dict[str, set[str]] = {}
        for route in site.app.web.web_app.router.routes():
            found.setdefault(route.resource.canonical, set()).add(route.method)
        order = ["HEAD", "GET", "POST"]
        assert {
            f"{','.join(sorted(methods, key=order.index))} {path}" for path, methods in found.items()
        } == ROUTES


async def test_faust_adds_no_page_of_its_own_whatever_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBUG", "WEB_STATS_ENABLED", "WEB_GRAPH_ENABLED", "WEB_METRICS_ENABLED"):
        monkeypatch.setenv(f"APP_{name}", "true")
    async with a_site() as site:
        for path in ("/graph/", "/graph", "/router/", "/table/", "/performance/", "/assignment/"):
            assert (await site.get(path)).status == 404, path
        assert "status" not in await site.json("/")


async def test_every_answer_has_the_headers() -> None:
    async with a_site() as site:
        for path in (*OPEN, *CLOSED, "/dead-letters/redrive", "/stats/assignment/"):
            check_headers(path, await site.get(path))


def check_headers(path: str, answer: aiohttp.ClientResponse) -> None:
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in answer.headers
    if not path.startswith("/static/"):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "query", "kind"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", "text/html"),
        ("*/*", "", "application/json"),
        ("", "", "application/json"),
        ("application/json", "", "application/json"),
        ("text/html;q=0.5, application/json", "", "application/json"),
        ("TEXT/HTML", "", "text/html"),
        ("text/html;q=0", "", "application/json"),
        ("text/html;q=x", "", "application/json"),
        ("text/html", "?format=json", "application/json"),
        ("*/*", "?format=html", "text/html"),
        ("*/*", "?format=xml", "application/json"),
    ],
)
async def test_browsers_get_html_and_everything_else_json(accept: str, query: str, kind: str) -> None:
    async with a_site() as site:
        for path in ("/", "/destinations/", "/destinations/none", "/dead-letters/", "/nope"):
            answer = await site.client.get(path + query, headers={"Accept": accept})
            assert answer.content_type == kind, path


async def test_destinations_are_a_json_list_as_ever_for_who_names_no_type() -> None:
    async with a_site() as site:
        site.engine()
        (one,) = await site.json("/destinations/")
        assert one["id"] == "client.acme.sep24"
        assert one["deliveries"] == 0
        assert one["partitions"] == [0]


async def test_a_missing_slash_leads_on() -> None:
    async with a_site() as site:
        answer = await site.get("/destinations?state=up")
        assert answer.status == 308
        assert answer.headers["Location"] == "/destinations/?state=up"


async def test_health_and_login_are_open_where_reading_needs_the_token() -> None:
    async with a_site(WEB_REQUIRE_TOKEN_FOR_READING="true") as site:
        for path in OPEN:
            assert (await site.get(path)).status in {200, 503}, path


@pytest.mark.parametrize("path", CLOSED)
async def test_everything_else_is_closed_where_reading_needs_the_token(path: str) -> None:
    async with a_site(WEB_REQUIRE_TOKEN_FOR_READING="true") as site:
        browser = await site.get(f"{path}?a=%26b")
        assert browser.status == 303
        assert browser.headers["Location"].startswith("/login?next=")
        program = await site.client.get(path)
        assert program.status == 401
        assert program.headers["WWW-Authenticate"] == "Bearer"
        script = await site.client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert script.status in {200, 404}
        await site.log_in()
        assert (await site.get(path)).status in {200, 404}


async def test_a_page_that_breaks_says_so_and_not_how(caplog: pytest.LogCaptureFixture) -> None:
    async with a_site() as site:
        site.letters.failure = RuntimeError("secret detail")
        for answer in (await site.get("/dead-letters/"), await site.client.get("/dead-letters/")):
            assert answer.status == 500
            assert "secret detail" not in await answer.text()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "SEARCH", "TRACE"])
async def test_other_methods_are_refused(method: str) -> None:
    async with a_site() as site:
        answer = await site.client.request(
            method, "/destinations/", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert answer.status in {405, 415}


async def test_head_answers_as_get_without_a_body() -> None:
    async with a_site() as site:
        answer = await site.client.head("/destinations/")
        assert answer.status == 200
        assert await answer.read() == b""
        assert (await site.client.head("/dead-letters/redrive")).status == 405


async def test_a_worker_that_stops_waits_for_no_page() -> None:
    async with a_site() as site:
        started = asyncio.Event()

        async def for_ever(_keeps_value: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

        site.app.desk.letters.read = for_ever
        page = asyncio.create_task(site.client.get("/dead-letters/"))
        await started.wait()
        await asyncio.wait_for(site.client.server.close(), 10)
        with pytest.raises(aiohttp.ClientError):
            await page


async def test_the_overview_is_renewed_and_a_form_under_somebody_s_hands_is_not() -> None:
    async with a_site() as site:
        site.engine()
        one = "/destinations/client.acme.sep24"
        for path in ("/", one):
            assert 'http-equiv="refresh" content="10"' in await site.html(path)
            assert "refresh=0" in await site.html(path)
            assert 'http-equiv="refresh"' not in await site.html(f"{path}?refresh=0")
        await site.log_in()
        assert 'http-equiv="refresh"' in await site.html("/")
        assert 'http-equiv="refresh"' not in await site.html(one)
