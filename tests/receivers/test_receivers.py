"""Real servers, each with keep-alive, ``Connection: close``, slow answers, 413 and a restart under load.

Each run compares what the sender was answered with what the receiver's application accepted, see ``Run.check``.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from eventproc.auth import StellarSignature
from eventproc.outcomes import Response
from tests.receivers.catalogue import NODE, PROXIES, SERVERS, Server
from tests.receivers.run import ForeignReceiver, Run
from tests.servers.anchor_env import TEST_SEED
from tests.servers.ports import LOOPBACK

LARGE = "x" * 300_000
BATCH = 200


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The test run leaves out what needs packages; `make receivers` has all."""
    is_all = metafunc.config.getoption("--receivers-all")
    if "server" in metafunc.fixturenames:
        servers = [server for server in SERVERS if server.is_short or is_all]
        metafunc.parametrize("server", servers, ids=[server.name for server in servers])
    if "proxy_name" in metafunc.fixturenames:
        names = [name for name, proxy in PROXIES.items() if proxy.is_short or is_all]
        metafunc.parametrize("proxy_name", names)


async def test_each_event_is_accepted_once(server: Server, tmp_path: Path) -> None:
    receiver = ForeignReceiver(tmp_path / "server", server.command, slow_seconds=0.02)
    try:
        await receiver.start()
        await _refuse_a_wrong_signature(receiver)
        kept = await _keep_alive(receiver, server)
        closed = await _close(receiver, server)
        slow = await _slow(receiver)
        await _too_large(receiver, server.too_large)
        restarted = await _restart_under_load(receiver)
    finally:
        receiver.process.stop()
    print(
        f"\nreceivers: {server.name} connections for {2 * BATCH} events={kept}, with close for 50={closed}; "
        f"slow={slow}; restarted={restarted}"
    )


async def test_a_proxy_in_front_loses_nothing(proxy_name: str, tmp_path: Path) -> None:
    """502 while the application is down, 504 while it hangs, 413 of the proxy's own."""
    proxied = PROXIES[proxy_name]
    application = ForeignReceiver(tmp_path / "application", NODE.command)

    def with_upstream(directory: Path, port: int) -> list[str]:
        return proxied.command(directory, port, application.port)

    proxy = ForeignReceiver(tmp_path / "proxy", with_upstream)
    application.serve_as(proxy.port)
    receivers = [proxy, application]
    try:
        for receiver in receivers:
            await receiver.start()
        run = Run(proxy.port)
        run.send(BATCH)
        await run.until(run.is_done, application)
        _check(run, application)
        await run.close()
        await _too_large(application, proxied.too_large, proxy.port)
        run = Run(proxy.port)
        application.process.stop()
        run.send(50)
        await run.until(lambda: run.outcome_counts()["502"] > 0, proxy)
        await application.start()
        await run.until(run.is_done, proxy)
        application.process.send_signal(signal.SIGSTOP)
        run.send(50)
        await run.until(lambda: run.outcome_counts()["504"] > 0, proxy)
        application.process.send_signal(signal.SIGCONT)
        await run.until(run.is_done, proxy)
        run.check(application)
        await run.close()
        assert run.dead.letters == []
        print(f"\nreceivers: {proxy_name} {dict(run.outcome_counts())}")
    finally:
        for receiver in receivers:
            receiver.process.send_signal(signal.SIGCONT)
            receiver.process.stop()


async def _refuse_a_wrong_signature(receiver: ForeignReceiver) -> None:
    run = Run(receiver.port)
    body = b'{"transaction":{"id":"1"}}'
    headers = StellarSignature(TEST_SEED, f"{LOOPBACK}:{receiver.port}").headers(body, time.time())
    outcome = await run.sender.send(
        {**headers, "X-Event-Id": "forged", "Content-Type": "application/json"}, body + b" "
    )
    assert isinstance(outcome, Response)
    assert outcome.status == 401
    assert receiver.accepted() == {}
    await run.close()


async def _keep_alive(receiver: ForeignReceiver, server: Server) -> int:
    run = Run(receiver.port)
    run.send(BATCH)
    await run.until(run.is_done, receiver)
    run.send(BATCH)
    await run.until(run.is_done, receiver)
    _check(run, receiver)
    await run.close()
    if server.keeps_alive:
        assert run.connections < BATCH
    return run.connections


async def _close(receiver: ForeignReceiver, server: Server) -> int:
    run = Run(receiver.port, "/close")
    run.send(50)
    await run.until(run.is_done, receiver)
    _check(run, receiver)
    await run.close()
    if server.closes:
        assert run.connections >= 50
    return run.connections


async def _slow(receiver: ForeignReceiver) -> dict[str, int]:
    run = Run(receiver.port, "/slow")
    run.send(40)
    await run.until(run.is_done, receiver)
    _check(run, receiver)
    await run.close()
    return dict(run.outcome_counts())


async def _too_large(
    receiver: ForeignReceiver, statuses: Collection[int | None], port: int | None = None
) -> None:
    run = Run(port or receiver.port)
    run.send(20)
    run.send(1, message=LARGE)
    run.send(20)
    await run.until(run.is_done, receiver)
    _check(run, receiver)
    await run.close()
    ((letter, given_up),) = run.dead.letters
    assert given_up.offset == 20
    assert letter.status in statuses


async def _restart_under_load(receiver: ForeignReceiver) -> dict[str, int]:
    run = Run(receiver.port, "/slow", {"DELIVERY_MAX_IN_FLIGHT": "16"})
    receiver.forget()
    run.send(BATCH)
    await run.until(lambda: receiver.accepted().total() >= BATCH // 4, receiver)
    await receiver.restart()
    await run.until(run.is_done, receiver)
    run.check(receiver)
    await run.close()
    assert run.dead.letters == []
    return dict(run.outcome_counts())


def _check(run: Run, receiver: ForeignReceiver) -> None:
    """And forget the ledger, as each run numbers its events from 0."""
    run.check(receiver)
    receiver.forget()
