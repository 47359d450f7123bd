"""What the workers' own pages tell a command of their breakers."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from eventproc.breaker import BreakerState
from eventproc.delivery.worker_pages import with_breakers
from eventproc.group_progress import ClusterStatus, DestinationStatus, Member
from eventproc.identifiers import DestinationId
from settings import Settings, load_settings
from tests.servers.ports import LOOPBACK, free_port
from tests.unit.pages.site import TOKEN, Site, a_site

ACME = DestinationId("client.acme.sep24")


def settings(port: int = 1, **env: str) -> Settings:
    return load_settings(env={"WEB_PORT": str(port), "SECRET_WEB_ADMIN_TOKEN": TOKEN} | env)


def status(partitions: int = 1, *hosts: str) -> ClusterStatus:
    one = DestinationStatus(ACME, f"eventproc.{ACME}", partitions, 0, None, None, 0)
    return ClusterStatus("eventproc", [Member("eventproc", host) for host in hosts], 0, [one])


def url_of(site: Site) -> str:
    return f"http://{site.client.host}:{site.client.port}"


async def asked(found: ClusterStatus, *workers: str, port: int = 1) -> ClusterStatus:
    return await with_breakers(settings(port), found, workers)


async def test_the_members_of_the_group_are_asked_each_host_once() -> None:
    async with a_site() as site:
        site.engine().breaker.state = BreakerState.HALF_OPEN
        found = await asked(status(1, LOOPBACK, LOOPBACK), port=int(site.client.port or 0))
        assert found.destinations[0].breaker is BreakerState.HALF_OPEN
        assert [(one.url, one.problem) for one in found.asked] == [(url_of(site), None)]


@pytest.mark.parametrize(
    ("first", "second", "worst"),
    [
        (BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.CLOSED),
        (BreakerState.OPEN, BreakerState.CLOSED, BreakerState.OPEN),
        (BreakerState.HALF_OPEN, BreakerState.CLOSED, BreakerState.HALF_OPEN),
        (BreakerState.HALF_OPEN, BreakerState.OPEN, BreakerState.OPEN),
    ],
)
async def test_of_several_workers_the_worst_counts(
    first: BreakerState, second: BreakerState, worst: BreakerState
) -> None:
    async with a_site() as one, a_site() as another:
        one.engine().breaker.state, another.engine().breaker.state = first, second
        found = await asked(status(2), url_of(one), url_of(another))
        assert found.destinations[0].breaker is worst


async def test_closed_is_said_only_when_all_partitions_were_heard_of() -> None:
    async with a_site() as site:
        engine = site.engine()
        assert (await asked(status(1), url_of(site))).destinations[0].breaker is BreakerState.CLOSED
        assert (await asked(status(2), url_of(site))).destinations[0].breaker is None
        engine.breaker.state = BreakerState.OPEN
        assert (await asked(status(2), url_of(site))).destinations[0].breaker is BreakerState.OPEN
        engine.release()
        assert (await asked(status(1), url_of(site))).destinations[0].breaker is None, "it does not deliver"


async def test_closed_pages_are_opened_by_the_token_for_who_was_named_and_nobody_else() -> None:
    async with a_site(WEB_REQUIRE_TOKEN_FOR_READING="true") as site:
        site.engine()
        named = await asked(status(1), url_of(site))
        assert named.destinations[0].breaker is BreakerState.CLOSED
        member = await asked(status(1, LOOPBACK), port=int(site.client.port or 0))
        assert [one.problem for one in member.asked] == ["HTTP 401"]
        assert member.destinations[0].breaker is None


async def answering(answer: Any) -> str | None:
    """The problem with a worker that is none."""

    async def respond(_request: web.Request) -> web.StreamResponse:
        response: web.StreamResponse = answer
        return response

    app = web.Application()
    app.router.add_get("/destinations/", respond)
    async with TestServer(app) as server:
        (one,) = (await asked(status(), str(server.make_url("/")))).asked
        return one.problem


async def test_what_is_no_worker_is_a_problem_and_no_failure() -> None:
    assert await answering(web.Response(status=302, headers={"Location": "/"})) == "HTTP 302"
    for text in ("{}", "[1]", '[{"id": "x", "breaker": "molten", "partitions": []}]', "<html>"):
        assert await answering(web.Response(text=text)), text
    (nobody,) = (await asked(status(), f"http://{LOOPBACK}:{free_port()}")).asked
    assert nobody.problem
    assert (await asked(status())).asked == []
    assert (await asked(status(1, "", "a b"))).asked == [], "no host"
