"""Starts broker, receivers and worker, publishes the samples, shows what arrives, stops everything."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from demo.board import Board
from demo.expectations import (
    BUSINESS_SERVER,
    CLIENT_DOMAINS,
    CLIENT_NAME,
    WALLET,
    Sample,
    expected_deliveries,
    load_samples,
    make_samples,
)
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_SEED, Names, anchor_env, noncustodial_client
from tests.servers.kafka import EmbeddedBroker
from tests.servers.receiver import Receiver, wallet
from tests.servers.verification import bearer_jwt
from tests.servers.worker import WorkerProcess

READY_SECONDS = 60.0
# Late duplicates and deliveries to the wrong receiver would show in this time.
SETTLE_SECONDS = 0.5
POLL_SECONDS = 0.05
NAMES = Names()


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    once: bool
    keep: bool
    timeout_seconds: float
    web_port: int | None


@click.command()
@click.option("--once", is_flag=True, help="End when every delivery has arrived; exit 1 when one does not.")
@click.option("--keep", is_flag=True, help="Keep the worker's log and print where it is.")
@click.option(
    "--timeout", "timeout_seconds", default=60.0, show_default=True, help="With --once: seconds to wait."
)
@click.option("--web-port", type=int, help="Port of the worker's pages. Default: a free one.")
def main(*, once: bool, keep: bool, timeout_seconds: float, web_port: int | None) -> None:
    """Run the whole service here, from Kafka to a wallet and a business server, with the sample events.

    Nothing is needed beside this: the broker is an embedded one, all in memory. Ctrl-C ends it.
    """
    sys.exit(asyncio.run(run_until_stopped(Options(once, keep, timeout_seconds, web_port), Console())))


async def run_until_stopped(options: Options, console: Console) -> int:
    """The exit code; Ctrl-C, SIGTERM and a closed terminal stop the demo at any point."""
    demo = asyncio.ensure_future(_run(options, console))
    stopped = False

    def stop() -> None:
        nonlocal stopped
        # Only once: a second Ctrl-C must not interrupt the cleaning up, which is bounded anyway.
        if not stopped:
            stopped = True
            demo.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        return await demo
    except asyncio.CancelledError:
        console.print("stopped")
        return 1 if options.once else 0


async def _run(options: Options, console: Console) -> int:
    samples = load_samples() + make_samples()
    board = Board(console, samples, expected_deliveries(samples))
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(EmbeddedBroker())
        await broker.create_topics({NAMES.source: 2})
        business_server = await stack.enter_async_context(
            Receiver(verify=bearer_jwt(CALLBACK_SECRET), on_request=partial(board.arrived, BUSINESS_SERVER))
        )
        wallet_server = await stack.enter_async_context(
            wallet(TEST_SEED, on_request=partial(board.arrived, WALLET))
        )
        client = noncustodial_client(CLIENT_NAME, wallet_server.url, domains=CLIENT_DOMAINS)
        env = anchor_env(broker.bootstrap, business_url=business_server.url, clients=[client], names=NAMES)
        directory = Path(tempfile.mkdtemp(prefix="eventproc-demo-")) if options.keep else None
        worker = await stack.enter_async_context(
            WorkerProcess(env, web_port=options.web_port, directory=directory)
        )
        stack.enter_context(board)
        board.tell("broker", f"{broker.bootstrap} (in memory)")
        board.tell(BUSINESS_SERVER, f"{business_server.url} (verifies the JWT)")
        board.tell(WALLET, f"{wallet_server.url} (verifies the signature)")
        board.tell("status page", f"{worker.url}/")
        if directory is not None:
            board.tell("worker's log", str(worker.log_file))
        return await _deliver(options, board, broker, worker, samples)


async def _deliver(
    options: Options, board: Board, broker: EmbeddedBroker, worker: WorkerProcess, samples: list[Sample]
) -> int:
    try:
        board.tell("worker", f"ready after {await worker.wait_ready(READY_SECONDS):.1f} s")
    except (RuntimeError, TimeoutError) as error:
        board.end([str(error)])
        return 1
    board.published()
    await broker.publish(NAMES.source, [sample.record for sample in samples])
    board.tell("published", f"{len(samples)} sample events to {NAMES.source}")
    bound = options.timeout_seconds if options.once else None
    is_running = await _wait(lambda: board.is_complete, worker, bound)
    unreadable = sum(not sample.is_readable for sample in samples)
    board.tell("unreadable", f"{unreadable} of them, kept in {NAMES.topic('invalid')}")
    if board.is_complete and not options.once:
        board.tell("deliveries", f"{board.summary.removeprefix('demo: ')}; Ctrl-C ends the demo")
    if is_running and not options.once:
        is_running = await _wait(lambda: False, worker, None)
    await asyncio.sleep(SETTLE_SECONDS)
    problems = board.problems
    if not is_running:
        problems.append(f"the worker ended by itself\n{worker.log_tail()}")
    elif (found := len(await broker.read_all(NAMES.topic("invalid")))) != unreadable:
        problems.append(f"{NAMES.topic('invalid')} holds {found} records in place of {unreadable}")
    board.end(problems)
    return 1 if problems else 0


async def _wait(condition: Callable[[], bool], worker: WorkerProcess, bound_seconds: float | None) -> bool:
    """Waits for the condition, the bound or the worker's end: whether the worker still runs."""
    began = time.monotonic()
    while not condition() and worker.is_running:
        if bound_seconds is not None and time.monotonic() - began > bound_seconds:
            break
        await asyncio.sleep(POLL_SECONDS)
    return worker.is_running


if __name__ == "__main__":
    main()
