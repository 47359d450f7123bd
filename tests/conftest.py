"""Brokers, receivers and workers for every test, and the worker's log with every failure."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from typing import TypeAlias

import hypothesis
import pytest
import structlog

from eventproc.logs import REPEATS
from tests.servers.anchor_env import CALLBACK_SECRET, TEST_SEED, Names
from tests.servers.kafka import ApacheKafka, Broker, EmbeddedBroker, missing_for_kafka
from tests.servers.network import missing_for_namespaces
from tests.servers.receiver import Receiver, wallet
from tests.servers.verification import bearer_jwt
from tests.servers.worker import WorkerProcess

# One profile for every run: no example is too slow, however busy the machine is; CI draws the same ones each time.
hypothesis.settings.register_profile(
    "eventproc",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("eventproc")

StartWorker: TypeAlias = Callable[[Mapping[str, str]], Awaitable[WorkerProcess]]

_workers_of_test = pytest.StashKey[list[WorkerProcess]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--receivers-all", action="store_true", help="also the receivers that need packages")
    parser.addoption("--chaos-long", action="store_true", help="run the chaos tests at full length")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For several processes (`--dist loadgroup`): a file's fixtures are made once, and chaos is not beside chaos."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group("chaos" if folder == "chaos" else item.path.as_posix()))


@pytest.fixture(autouse=True)
def _logging_as_by_default() -> Iterator[None]:
    """A command that ran in the test's own process has set logging up for itself, and for whoever comes next."""
    yield
    structlog.reset_defaults()
    for name in ("aiokafka", "aiokafka.conn"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).removeFilter(REPEATS)


@pytest.fixture(scope="session")
def chaos_long(request: pytest.FixtureRequest) -> bool:
    """Whether `make chaos` asked for the full length."""
    return bool(request.config.getoption("--chaos-long"))


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the whole run: use unique names."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def apache_kafka() -> Iterator[ApacheKafka]:
    """One Apache Kafka for the whole run: use unique names, and never stop it."""
    require_kafka()
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture
def own_apache_kafka() -> Iterator[ApacheKafka]:
    """An Apache Kafka for one test alone, which may kill it."""
    require_kafka()
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Broker:
    """Apache Kafka, where it can run; `both_brokers` tries a test on each."""
    name = getattr(request, "param", None)
    if name is None:
        name = "embedded_broker" if missing_for_kafka() and not os.environ.get("CI") else "apache_kafka"
    broker: Broker = request.getfixturevalue(name)
    return broker


@pytest.fixture
def names() -> Names:
    """Topics and a consumer group that no other test uses."""
    return Names.unique()


@pytest.fixture
async def business_server() -> AsyncIterator[Receiver]:
    """A business server that verifies the token `anchor_env` configures."""
    async with Receiver(verify=bearer_jwt(CALLBACK_SECRET)) as receiver:
        yield receiver


@pytest.fixture
async def wallet_server() -> AsyncIterator[Receiver]:
    """A wallet that verifies the signature of the test seed."""
    async with wallet(TEST_SEED) as receiver:
        yield receiver


@pytest.fixture
async def start_worker(request: pytest.FixtureRequest) -> AsyncIterator[StartWorker]:
    """Starts workers that are ready on return and ended after the test."""
    workers: list[WorkerProcess] = []
    request.node.stash[_workers_of_test] = workers

    async def start(env: Mapping[str, str]) -> WorkerProcess:
        worker = WorkerProcess(env)
        workers.append(worker)
        worker.start()
        await worker.wait_ready()
        return worker

    yield start
    for worker in workers:
        await worker.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of each worker's log to the report of a failed test, before the log is removed."""
    report = yield
    if report.failed:
        for worker in item.stash.get(_workers_of_test, []):
            report.sections.append((f"worker {worker.web_port}", worker.log_tail()))
    return report


def require_kafka() -> None:
    """Skips where Apache Kafka cannot run; in CI that is a failure, as CI promises to have it."""
    if missing := missing_for_kafka():
        _skip_but_in_ci(f"Apache Kafka needs {' and '.join(missing)} on the PATH")


def require_namespaces() -> None:
    """Skips where no network namespaces can be made; in CI, which runs as root, that is a failure."""
    if (problem := missing_for_namespaces()) is not None:
        _skip_but_in_ci(f"Network namespaces: {problem}")


def _skip_but_in_ci(message: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{message}, and CI must not skip these tests", pytrace=False)
    pytest.skip(message)
