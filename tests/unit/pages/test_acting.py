"""Who may change something, and how the pages know."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from agents.pages.session import COOKIE, FAILURES, SESSION_SECONDS
from tests.unit.pages.site import TOKEN, Site, a_site

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAUSE = "/destinations/client.acme.sep24/pause"
ACTIONS = (PAUSE, "/destinations/client.acme.sep24/resume", "/dead-letters/redrive", "/logout")


async def acted(site: Site) -> bool:
    return bool(site.pauses or site.letters.sent)


async def test_a_login_gives_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    async with a_site() as site:
        answer = await site.post("/login", {"token": TOKEN, "next": "/dead-letters/?reason=rejected"})
        assert answer.status == 303
        assert answer.headers["Location"] == "/dead-letters/?reason=rejected"
        cookie = answer.headers["Set-Cookie"]
        assert TOKEN not in cookie
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert parts == {"httponly", "path=/", "samesite=strict", f"max-age={SESSION_SECONDS}"}


async def test_behind_tls_the_cookie_is_for_tls_alone() -> None:
    async with a_site() as site:
        answer = await site.client.post(
            "/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"}, allow_redirects=False
        )
        assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "next_",
    ["//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil.example", "/\r\nSet-Cookie: a=b", "", "evil", "/é", "/a\\b"],
)  # fmt: skip
async def test_a_login_leads_to_no_other_site(next_: str) -> None:
    async with a_site() as site:
        answer = await site.post("/login", {"token": TOKEN, "next": next_})
        assert answer.headers["Location"] == "/"
        assert len(answer.headers.getall("Set-Cookie")) == 1


async def test_a_wrong_token_is_refused_and_guessing_ends() -> None:
    async with a_site() as site:
        for number in range(FAILURES):
            answer = await site.post("/login", {"token": f"wrong-{number}"})
            assert answer.status == 401
            assert "not the admin token" in await answer.text()
            assert "Set-Cookie" not in answer.headers
        answer = await site.post("/login", {"token": TOKEN})
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "60"
        assert (await site.client.get("/", headers=BEARER)).status == 429
        assert (await site.client.get("/health/live", headers=BEARER)).status == 200
        assert (await site.get("/")).status == 200, "reading needs no token"


async def test_a_wrong_bearer_counts_as_a_guess() -> None:
    async with a_site() as site:
        for _ in range(FAILURES):
            assert (await site.client.get("/", headers={"Authorization": "Bearer x"})).status == 401
        assert (await site.client.get("/", headers=BEARER)).status == 429


@pytest.mark.parametrize("path", ACTIONS)
async def test_without_an_admin_token_nothing_can_be_changed_and_no_page_offers_it(path: str) -> None:
    async with a_site(token=None) as site:
        site.engine()
        site.letters.add("e1")
        for headers in ({}, BEARER, {"Cookie": f"{COOKIE}=x.y.z"}):
            answer = await site.client.post(path, data={"key": "x", "confirm": "yes"}, headers=headers)
            assert answer.status == 403
            assert "SECRET_WEB_ADMIN_TOKEN is not set" in (await answer.json())["error"]
        assert not await acted(site)
        assert (await site.get("/login")).status == 404
        for page in (
            "/",
            "/destinations/client.acme.sep24",
            "/dead-letters/",
            "/dead-letters/client.acme.sep24/TRANSACTION/0/0",
        ):
            text = await site.html(page)
            assert 'method="post"' not in text
            assert "Log in" not in text


@pytest.mark.parametrize("path", ACTIONS)
async def test_without_a_login_nothing_can_be_changed(path: str) -> None:
    async with a_site() as site:
        site.engine()
        site.letters.add("e1")
        browser = await site.post(path, {"destination": "client.acme.sep24", "confirm": "yes"})
        assert browser.status == 303
        assert browser.headers["Location"] == "/login?next=/"
        program = await site.client.post(path, data={"destination": "client.acme.sep24", "confirm": "yes"})
        assert program.status == 401
        assert not await acted(site)
        for page in (
            "/destinations/client.acme.sep24",
            "/dead-letters/",
            "/dead-letters/client.acme.sep24/TRANSACTION/0/0",
        ):
            assert 'method="post"' not in await site.html(page)


@pytest.mark.parametrize("path", ACTIONS)
async def test_a_form_without_its_session_s_token_does_nothing(path: str) -> None:
    async with a_site() as site:
        site.engine()
        site.letters.add("e1")
        await site.log_in()
        fields = {"destination": "client.acme.sep24", "confirm": "yes", "by": "x"}
        for wrong in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}):
            assert (await site.post(path, fields | wrong)).status == 403
        assert not await acted(site)
        assert await site.log_in(), "the session is still there"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": ""},
    ],
)
async def test_a_form_of_another_site_does_nothing(headers: dict[str, str]) -> None:
    async with a_site() as site:
        site.engine()
        token = await site.log_in()
        answer = await site.post(PAUSE, {"form_token": token, "by": "x"}, **headers)
        assert answer.status == 403
        login = await site.post("/login", {"token": TOKEN}, **headers)
        assert login.status == 403, "nor does it log anybody in"
        assert not await acted(site)


async def test_our_own_form_does_it() -> None:
    async with a_site() as site:
        site.engine()
        token = await site.log_in()
        origin = f"http://{site.client.host}:{site.client.port}"
        answer = await site.post(
            PAUSE, {"form_token": token, "by": "night", "reason": "INC-7"}, Origin=origin
        )
        assert answer.status == 303
        assert answer.headers["Location"] == "/destinations/client.acme.sep24?asked=pause"
        assert "asked to pause it" in await site.html(answer.headers["Location"])
        assert site.pauses == [("client.acme.sep24", True, "night", "INC-7")]


async def test_a_script_needs_the_token_alone() -> None:
    async with a_site() as site:
        site.engine()
        answer = await site.client.post(PAUSE, data={"by": "cron", "reason": "nightly"}, headers=BEARER)
        assert answer.status == 200
        assert await answer.json() == {"asked": "pause"}
        again = await site.client.post(PAUSE.replace("pause", "resume"), data={"by": "cron"}, headers=BEARER)
        assert again.status == 200
        assert [pause[:2] for pause in site.pauses] == [
            ("client.acme.sep24", True),
            ("client.acme.sep24", False),
        ]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
        (b"by=x", "text/plain", 415),
        (b"by=%FF%00&reason=%FF%00", "application/x-www-form-urlencoded", 200),
        (b"by=\xff", "application/x-www-form-urlencoded", 400),
        (b"by=x", "application/x-www-form-urlencoded; charset=nonsense", 400),
        (b"by=\xff\xfe", "application/x-www-form-urlencoded; charset=utf-16", 400),
        (b"by=" + b"x" * 2_000_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_forms_are_forms_and_bounded(content: bytes, kind: str, status: int) -> None:
    async with a_site() as site:
        site.engine()
        answer = await site.client.post(
            PAUSE, data=io.BytesIO(content), headers=BEARER | {"Content-Type": kind}
        )
        assert answer.status == status, await answer.text()
        assert bool(site.pauses) == (status == 200)


@pytest.mark.parametrize("fields", [{}, {"reason": ""}, {"reason": " \t"}])
async def test_nobody_pauses_without_a_reason_and_whoever_resumes_needs_none(fields: dict[str, str]) -> None:
    async with a_site() as site:
        site.engine()
        answer = await site.client.post(PAUSE, data={"by": "ann"} | fields, headers=BEARER)
        assert answer.status == 400
        assert "needs a reason" in (await answer.json())["error"]
        assert not site.pauses
        await site.log_in()
        text = await site.html(PAUSE.removesuffix("/pause"))
        assert re.search(r'<input name="reason"[^>]* required>', text), "nor does a browser send it"
        resumed = await site.client.post(PAUSE.replace("pause", "resume"), data=fields, headers=BEARER)
        assert resumed.status == 200


async def test_what_an_operator_says_is_bounded() -> None:
    async with a_site() as site:
        site.engine()
        await site.client.post(PAUSE, data={"by": "x" * 5000, "reason": "y" * 5000}, headers=BEARER)
        ((_, _, by, reason),) = site.pauses
        assert len(by) == len(reason) == 200


async def test_a_logout_takes_the_cookie() -> None:
    async with a_site() as site:
        token = await site.log_in()
        answer = await site.post("/logout", {"form_token": token})
        assert answer.status == 303
        assert "Log in" in await site.html("/")


async def test_a_session_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_site() as site:
        await site.log_in()
        sessions: Any = site.app.desk.sessions
        now = sessions._wall()
        sessions._wall = lambda: now + SESSION_SECONDS + 1
        assert "Log in" in await site.html("/")


async def test_no_page_holds_the_token() -> None:
    async with a_site() as site:
        site.engine()
        site.letters.add("e1")
        await site.log_in()
        for path in (
            "/",
            "/login",
            "/destinations/client.acme.sep24",
            "/dead-letters/",
            "/stats/",
            "/metrics",
        ):
            answer = await site.get(path)
            assert not re.search(re.escape(TOKEN), await answer.text())


async def test_an_action_that_there_is_not_is_not_found() -> None:
    async with a_site() as site:
        answer = await site.client.post(
            "/destinations/client.acme.sep24/explode", data={"x": "1"}, headers=BEARER
        )
        assert answer.status == 404
        assert not await acted(site)
