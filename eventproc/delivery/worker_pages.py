"""Asks running workers for what Kafka does not know: the breaker of each destination, as their pages have it.

A breaker is each worker's own, so the worst of those that deliver to a destination is told; closed only when
every partition was heard of. A worker that does not answer is no failure: what it knows stays unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import aiohttp
import orjson
from yarl import URL

from eventproc.breaker import BreakerState
from eventproc.group_progress import Asked, ClusterStatus, Member
from settings import Settings

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0
AT_ONCE: Final = 16
ANSWER_BYTES: Final = 64 * 1024 * 1024
BADNESS: Final = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)


class Told(NamedTuple):
    """What one worker says of one destination."""

    breaker: BreakerState
    partitions: int


async def with_breakers(settings: Settings, status: ClusterStatus, workers: Sequence[str]) -> ClusterStatus:
    """The status with what the workers' pages say.

    Args:
        settings: the web port, and the admin token, which goes to ``workers`` alone: who is in the group is
            for Kafka to say.
        status: the members are asked where ``workers`` names nobody.
        workers: URLs like ``http://10.0.0.3:8088``.
    """
    token = settings.web.admin_token
    headers = {"Accept": "application/json"}
    if workers and token is not None:
        headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    urls = [URL(one) for one in workers] or list(_addresses(status.members or (), settings.web_port))
    places = asyncio.Semaphore(AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:
        answers = await asyncio.gather(*(_ask(session, url, places) for url in urls))
    heard = [answer for answer in answers if not isinstance(answer, str)]
    asked = [
        Asked(str(url), answer if isinstance(answer, str) else None)
        for url, answer in zip(urls, answers, strict=True)
    ]
    return replace(
        status,
        asked=asked,
        destinations=[
            replace(one, breaker=_worst([told[one.id] for told in heard if one.id in told], one.partitions))
            for one in status.destinations
        ],
    )


def _worst(told: Iterable[Told], partitions: int) -> BreakerState | None:
    delivering = [one for one in told if one.partitions]
    worst = max((one.breaker for one in delivering), key=BADNESS.index, default=None)
    if worst is BreakerState.CLOSED and sum(one.partitions for one in delivering) < partitions:
        return None
    return worst


def _addresses(members: Iterable[Member], port: int) -> Iterator[URL]:
    """Each host once; the embedded broker tells none."""
    for host in dict.fromkeys(member.host for member in members):
        with contextlib.suppress(ValueError):
            yield URL.build(scheme="http", host=host, port=port)


async def _ask(
    session: aiohttp.ClientSession, url: URL, places: asyncio.Semaphore
) -> Mapping[str, Told] | str:
    """What a worker says, or why it did not."""
    try:
        async with places, session.get(url / "destinations" / "", allow_redirects=False) as response:
            if response.status == 421:
                return f"HTTP 421: add {url.host} to web.hosts there"
            if response.status != 200:
                return f"HTTP {response.status}"
            return _read(await _bounded(response.content))
    except asyncio.TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    answer = bytearray()
    async for piece in content.iter_any():
        answer += piece
        if len(answer) > ANSWER_BYTES:
            raise ValueError("the answer has no end")
    return bytes(answer)


def _read(answer: bytes) -> dict[str, Told]:
    """The JSON of ``/destinations/``.

    Raises:
        ValueError: it is something else.
    """
    said: Any = orjson.loads(answer)
    if not isinstance(said, list):
        raise ValueError("no worker of eventproc answers there")  # noqa: TRY004 - the caller's one kind
    try:
        return {str(one["id"]): Told(BreakerState(one["breaker"]), len(one["partitions"])) for one in said}
    except (TypeError, KeyError) as error:
        raise ValueError("no worker of eventproc answers there") from error
