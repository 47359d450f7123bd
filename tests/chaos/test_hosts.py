"""Three hosts, each with a broker and a worker, that lose the broker, both cables, or the one between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pytest

from tests.chaos.ledger import DeliveryLedger
from tests.chaos.load import BUSINESS, SEP24, Load
from tests.chaos.scene import QUICK, destinations, noting, report, wait_until_all_done
from tests.conftest import require_kafka, require_namespaces
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.kafka_cluster import KafkaCluster, KafkaNode
from tests.servers.kafka_jars import classpath
from tests.servers.network import Cable, Host, Network
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer, Reply
from tests.servers.request_record import RequestRecord
from tests.servers.waiting import wait_until
from tests.servers.worker import WorkerProcess

pytestmark = [pytest.mark.chaos, pytest.mark.kafka]

PARTITIONS: Final = 6
EVENTS_PER_SECOND: Final = 80.0
# Behind slow receivers each worker has a heap in hand when its cable goes; behind quick ones it is soon worked off.
QUICK_SECONDS, SLOW_SECONDS = 0.02, 1.0
MAX_IN_FLIGHT: Final = 4
# Its work for 40 s: some is to be left when the others have taken over, for which they were seen to need 21 s.
HEAP: Final = 160
ZOMBIE_REQUESTS: Final = 15
SLOW_DELIVERIES_PER_SECOND: Final = 2 * 3 * MAX_IN_FLIGHT / SLOW_SECONDS
PATIENCE_SECONDS: Final = 90.0
RESTART_SECONDS: Final = 1.0
NO_RESTART_CODES: Final = (0, 2)

SETTINGS: Final = {
    **QUICK,
    # Longer than a commit may take: a heartbeat waits behind it, on the same connection.
    "CONSUMER_SESSION_TIMEOUT_SECONDS": "5",
    # Three workers ask three brokers: at the default 450 times a second, which two cores feel.
    "CONSUMER_FETCH_MAX_WAIT_MILLISECONDS": "200",
    "DELIVERY_MAX_IN_FLIGHT": f"{MAX_IN_FLIGHT}",
    "DELIVERY_MAX_WAITING": f"{4 * HEAP}",
    "DELIVERY_CONNECT_TIMEOUT_SECONDS": "2",
    "DELIVERY_REQUEST_TIMEOUT_SECONDS": "5",
    "WEB_HOST": "0.0.0.0",
}


class HostWorker(WorkerProcess):
    """A worker on a host; its pages are asked for over the outer network."""

    def __init__(self, host: Host, env: dict[str, str]) -> None:
        super().__init__(env)
        self.process.command[:0] = host.enter
        self._address = host.outer

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self.web_port}"


@dataclass(frozen=True, slots=True)
class Site:
    """A host with what is on it, and the receiver that only its worker knows: so its requests can be told."""

    host: Host
    broker: KafkaNode
    worker: HostWorker
    receiver: Receiver

    async def facts(self) -> tuple[set[int], int]:
        """The business server's partitions that the worker takes for its own, and what waits for it there."""
        page = (await destinations(self.worker)).get("callback-api")
        return (set(), 0) if page is None else (set(page["partitions"]), page["waiting"])


@dataclass(slots=True)
class Pace:
    """How long receivers take for an answer."""

    seconds: float = QUICK_SECONDS

    def reply(self, record: RequestRecord, number: int) -> Reply:
        return Answer(delay_seconds=self.seconds)


class Supervisor:
    """Starts workers again that end by themselves, with the exit codes for which our systemd unit does."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self.restarts: list[str] = []

    async def watch(self) -> None:
        while True:
            for site in self._sites:
                if not site.worker.is_running:
                    code = site.worker.process.exit_code
                    assert code not in NO_RESTART_CODES, f"exit code {code}\n{site.worker.log_tail()}"
                    self.restarts.append(f"host {site.host.number}: exit code {code}")
                    site.worker.start()
            await asyncio.sleep(RESTART_SECONDS)


class Scenario:
    """What happens to the hosts, and what has to be so before the next thing may."""

    def __init__(self, network: Network, cluster: KafkaCluster, names: Names, sites: Sequence[Site]) -> None:
        self._network = network
        self._cluster = cluster
        self._names = names
        self._sites = sites
        self._topics = [names.source, names.topic("callback-api"), names.topic("client.w.sep24")]
        self.pace = Pace()
        self.ledger = DeliveryLedger()
        self.load: Load

    async def coordinating_site(self) -> Site:
        """Where the broker is that coordinates the group."""
        number = await self._cluster.coordinator(self._names.consumer_group)
        return next(site for site in self._sites if site.host.number == number)

    async def broker_dies(self, site: Site) -> None:
        """SIGKILL, and back when everything flows without it."""
        leads = await self._cluster.leads(site.host.number, self._topics)
        assert leads > 0
        with self._counted(f"host {site.host.number}: broker killed, leader of {leads} partitions") as note:
            site.broker.kill()
            note(f"flows again after {await self._caught_up():.1f} s")
            await site.broker.start_async()
            note(f"whole again after {await self._is_whole():.1f} s")

    async def cable_pulled(self, site: Site, *cables: Cable, sends_on: bool = False) -> None:
        """Until others have its partitions; ``sends_on``: and until it has sent on all the same.

        What comes twice is at most what all workers have sent from the cut until partitions were shared again.
        """
        self.pace.seconds = SLOW_SECONDS
        await self._wait(lambda: self._has_heap(site), f"a heap at host {site.host.number}")
        what = " and ".join(cable.value for cable in cables)
        with self._counted(f"host {site.host.number}: {what} cable out") as note:
            sent, before = site.receiver.count, self.ledger.tally().duplicates
            self._network.unplug(site.host, *cables)
            others = [one for one in self._sites if one is not site]
            out = await self._wait(lambda: self._have_all(others), "the others have everything")
            note(f"others have all after {out:.1f} s")
            if sends_on:
                out += await self._wait_for_requests(site, ZOMBIE_REQUESTS)
                assert (await site.facts())[0], "it knows that it has lost its partitions"
            note(f"{site.receiver.count - sent} requests from it meanwhile")
            self._network.plug(site.host, *cables)
            back = await self._wait(lambda: self._have_all(self._sites), "each has its share again")
            note(f"shared again after {back:.1f} s")
            self.pace.seconds = QUICK_SECONDS
            note(f"worked off after {await self._caught_up():.1f} s")
            await self._is_whole()
            twice = self.ledger.tally().duplicates - before
            assert twice <= SLOW_DELIVERIES_PER_SECOND * (out + back + SLOW_SECONDS)

    async def ends_well(self) -> None:
        """Everything has come, and is committed."""
        await self._wait(self._nothing_missing, "every delivery")
        for topic in self._topics[1:]:
            await wait_until_all_done(self._cluster.nodes[0], self._names, topic, PATIENCE_SECONDS)

    @contextlib.contextmanager
    def _counted(self, what: str) -> Iterator[Callable[[str], None]]:
        """Prints what happened, with the duplicates it made."""
        notes: list[str] = []
        before = self.ledger.tally().duplicates
        yield notes.append
        print(
            f"\n  {what}: {', '.join(notes)}; {self.ledger.tally().duplicates - before} duplicates",
            flush=True,
        )

    async def _wait(self, condition: Callable[[], Awaitable[bool]], what: str) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def state() -> str:
            logs = "\n".join(site.worker.log_tail(15) for site in self._sites)
            return f"{what}; missing: {self.ledger.missing} of {2 * self.load.published}\n{logs}"

        await wait_until(condition, PATIENCE_SECONDS, state)
        return loop.time() - began

    async def _wait_for_requests(self, site: Site, count: int) -> float:
        wanted = site.receiver.count + count

        async def are_there() -> bool:
            return site.receiver.count >= wanted

        return await self._wait(are_there, f"{count} requests from host {site.host.number}")

    async def _caught_up(self) -> float:
        """The seconds until less is missing than is sent in a second, of what is sent from now on, too."""
        later = self.load.published + EVENTS_PER_SECOND

        async def has() -> bool:
            return self.load.published >= later and self.ledger.missing < EVENTS_PER_SECOND

        return await self._wait(has, "work is caught up with")

    async def _is_whole(self) -> float:
        return await self._wait(
            lambda: self._cluster.is_whole([*self._topics, "__consumer_offsets"]), "all copies are in sync"
        )

    async def _has_heap(self, site: Site) -> bool:
        return (await site.facts())[1] >= HEAP

    async def _have_all(self, sites: Sequence[Site]) -> bool:
        shares = [partitions for partitions, _ in await asyncio.gather(*(site.facts() for site in sites))]
        return all(shares) and sum(map(len, shares)) == len(set().union(*shares)) == PARTITIONS

    async def _nothing_missing(self) -> bool:
        return self.ledger.missing == 0


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts; the test is in the world beside them, so every server it makes is, too."""
    require_kafka()
    require_namespaces()
    classpath()  # Maven cannot fetch it from there
    with Network(hosts=3) as network, network.inside(network.world):
        yield network
    assert network.left_over() == []


@pytest.fixture
def cluster(network: Network) -> Iterator[KafkaCluster]:
    with KafkaCluster(network.hosts) as cluster:
        yield cluster


@pytest.mark.timeout(1800)
async def test_hosts_that_fail_one_after_the_other_cost_no_event(
    network: Network, cluster: KafkaCluster, names: Names, chaos_long: bool
) -> None:
    """Each thing alone, three copies, two of them in sync at least: what Kafka promises to stand."""
    events, rounds = (20_000, 3) if chaos_long else (2_000, 1)
    await cluster.nodes[0].create_topics({names.source: PARTITIONS})
    async with _scenario(network, cluster, names) as (scenario, supervisor, sites):
        async with scenario.load.flowing(EVENTS_PER_SECOND, events):
            for _ in range(rounds):
                await scenario.broker_dies(await scenario.coordinating_site())
                steady = await scenario.coordinating_site()
                first, second = (site for site in sites if site is not steady)
                await scenario.cable_pulled(first, Cable.INNER, Cable.OUTER)
                await scenario.cable_pulled(second, Cable.INNER, sends_on=True)
                if chaos_long:
                    # The broker beside it may tell it to join a group of one, and then it stops.
                    await scenario.cable_pulled(await scenario.coordinating_site(), Cable.INNER)
        await scenario.ends_well()
        report("three_hosts", scenario.ledger)
        print(f"  workers that ended and were started again: {supervisor.restarts or 'none'}")
        assert all(site.worker.is_running for site in sites)


@contextlib.asynccontextmanager
async def _scenario(
    network: Network, cluster: KafkaCluster, names: Names
) -> AsyncIterator[tuple[Scenario, Supervisor, list[Site]]]:
    """Everything started, ready and supervised."""
    sites: list[Site] = []
    scenario = Scenario(network, cluster, names, sites)
    async with contextlib.AsyncExitStack() as stack:
        respond, address = noting(scenario.ledger, scenario.pace.reply), network.world.outer
        for host, broker in zip(network.hosts, cluster.nodes, strict=True):
            receiver = Receiver(respond=respond, keep=False, host=address, listen=address)
            await stack.enter_async_context(receiver)
            clients = [noncustodial_client("w", receiver.url, domains=["w.example.com"], seps=["sep24"])]
            env = anchor_env(
                cluster.bootstrap_from(host),
                business_url=receiver.url,
                clients=clients,
                names=names,
                partitions=PARTITIONS,
                extra=SETTINGS,
            )
            worker = HostWorker(host, env)
            sites.append(Site(host, broker, worker, receiver))
            await stack.enter_async_context(worker)
        await asyncio.gather(*(site.worker.wait_ready(60) for site in sites))
        load = Load(
            cluster.bootstrap, names.source, scenario.ledger, destinations=[BUSINESS, SEP24], client="w"
        )
        scenario.load = await stack.enter_async_context(load)
        supervisor = Supervisor(sites)
        watching = asyncio.get_running_loop().create_task(supervisor.watch())
        try:
            yield scenario, supervisor, sites
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
