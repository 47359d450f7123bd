"""One POST and its answer, without Kafka: our own connection beside aiohttp's client, on both event loops.

Each in a process of its own, in turn, some times: so both meet the same machine within seconds.
"""

from __future__ import annotations

from bench.bare_loop import run_bare_loop
from bench.lab import MAX_IN_FLIGHT, Lab
from bench.results import PostResult
from bench.window import Window, together
from tests.servers.anchor_env import Names

ROUNDS = 3
ROUND_SHARE = 0.5
"""Of a window."""


async def measure(lab: Lab) -> tuple[PostResult, ...]:
    """On uvloop, then on asyncio's own loop."""
    await lab.receiver.set()
    return (await _on_loop(lab, use_uvloop=True), await _on_loop(lab, use_uvloop=False))


async def _on_loop(lab: Lab, *, use_uvloop: bool) -> PostResult:
    own, bare = [], []
    for _ in range(ROUNDS):
        bare.append(await _post(lab, "aiohttp", use_uvloop=use_uvloop))
        own.append(await _post(lab, "own", use_uvloop=use_uvloop))
    ours, theirs = together(own), together(bare)
    result = PostResult(
        loop="uvloop" if use_uvloop else "asyncio",
        posts_per_second=ours.per_second,
        cpu_us_per_post=ours.cpu_us_each,
        bare_posts_per_second=theirs.per_second,
        bare_cpu_us_per_post=theirs.cpu_us_each,
    )
    lab.tell(f"post, {result.loop}: {result.cpu_us_per_post:.1f} us, {result.cpu_ratio:.2f} times aiohttp")
    return result


async def _post(lab: Lab, client: str, *, use_uvloop: bool) -> Window:
    return await run_bare_loop(
        lab.env(Names.unique(), business=True),
        "callback-api",
        concurrency=MAX_IN_FLIGHT,
        seconds=lab.options.window_seconds * ROUND_SHARE,
        use_uvloop=use_uvloop,
        client=client,
    )
