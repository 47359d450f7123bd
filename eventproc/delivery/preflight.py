"""What a worker looks at before it starts, so that a wrong environment is one line and an exit code.

A Kafka that refuses is no reason to wait: wrong passwords, certificates and protocols end the worker at once,
with the code of a wrong configuration, as no restart mends them. A Kafka that does not answer is waited for.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Final, NoReturn

from typing_extensions import assert_never

from eventproc.delivery.kafka_access import LetIn, Refused, Unreachable, ask_for_access
from eventproc.delivery.topics import TopicError, TopicPlan, declare_topics
from eventproc.startup_report import report_not_started, report_waiting
from settings import Settings

EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2
EXIT_BROKER: Final = 3
RETRY_SECONDS: Final = 1.0


async def preflight(settings: Settings, plans: list[TopicPlan], web_host: str, web_port: int) -> None:
    """Events switched on, web port free, Kafka reachable, topics there.

    Raises:
        SystemExit: 2 for the first two and when Kafka does not let us in, 3 when it does not answer within
            ``consumer.connect_attempts_seconds``, 1 when it will not make a topic. The reason was printed.
    """
    if not settings.events.enabled:
        nothing_to_do = "events.enabled is false: there is nothing to do. Set EVENTS_ENABLED=true."
        _stop(settings, EXIT_CONFIGURATION, nothing_to_do)
    problem = _port_problem(web_host, web_port)
    if problem is not None:
        _stop(
            settings,
            EXIT_CONFIGURATION,
            f"web port {web_port}: {problem}. Choose another by WEB_PORT or `faust worker --web-port`.",
        )
    await _wait_for_kafka(settings)
    try:
        await declare_topics(settings, plans)
    except TopicError as error:
        _stop(settings, EXIT_FAILED, str(error))


async def _wait_for_kafka(settings: Settings) -> None:
    servers = settings.events.queue.kafka.bootstrap_server
    bound = settings.consumer.connect_attempts_seconds
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bound
    told = False
    while True:
        match await ask_for_access(settings):
            case LetIn():
                return
            case Refused(problem):
                _stop(settings, EXIT_CONFIGURATION, f"Kafka does not let us in: {problem}.")
            case Unreachable(problem):
                pass
            case other:
                assert_never(other)
        if loop.time() + RETRY_SECONDS > deadline:
            _stop(
                settings,
                EXIT_BROKER,
                f"no Kafka broker answered at {servers} within {bound:g} s ({problem}). "
                "Check events.queue.kafka.bootstrap_server.",
            )
        if not told:
            report_waiting(settings.logging.format, servers, bound, problem)
            told = True
        await asyncio.sleep(RETRY_SECONDS)


def _port_problem(host: str, port: int) -> str | None:
    try:
        family = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0][0]  # noqa: S104 - the default
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host or "", port))
    except OSError as error:
        return "in use by another program" if error.errno == errno.EADDRINUSE else str(error)
    return None


def _stop(settings: Settings, code: int, message: str) -> NoReturn:
    report_not_started(settings.logging.format, message, code)
    raise SystemExit(code)
