"""Apache Kafka on several hosts: a broker that is also a controller on each, three copies of everything."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from typing_extensions import Self

from tests.servers import kafka_client
from tests.servers.kafka import ApacheKafka
from tests.servers.network import Host

_BROKER_PORT: Final = 9092
_CONTROLLER_PORT: Final = 9093
_TOGETHER_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_COPIES: Final = 3

_PROPERTIES: Final = {
    "default.replication.factor": f"{_COPIES}",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": f"{_COPIES}",
    "transaction.state.log.replication.factor": f"{_COPIES}",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": f"{_COPIES}",
    "share.coordinator.state.topic.min.isr": "2",
    # A host that is gone counts among the copies in sync for so long, and writes and commits wait for it: 9 s and
    # 5 s by default.
    "broker.session.timeout.ms": "2000",
    "offsets.commit.timeout.ms": "3000",
}
# The quick compiler alone: three brokers start at once, and live for a minute.
_JVM_OPTIONS: Final = ("-Xmx384m", "-XX:TieredStopAtLevel=1")


class KafkaNode(ApacheKafka):
    """One broker of the cluster, on its host."""

    replication = _COPIES

    def __init__(
        self, host: Host, voters: Sequence[Host], cluster_id: str, directories: Sequence[str]
    ) -> None:
        addresses = [f"{voter.inner}:{_CONTROLLER_PORT}" for voter in voters]
        listeners = f"PLAINTEXT://{host.inner}:{_BROKER_PORT},CONTROLLER://{host.inner}:{_CONTROLLER_PORT}"
        own = {
            "node.id": f"{host.number}",
            "controller.quorum.bootstrap.servers": ",".join(addresses),
            "listeners": listeners,
            "advertised.listeners": listeners,
        }
        super().__init__({**_PROPERTIES, **own}, jvm_options=_JVM_OPTIONS)
        self.node_id = host.number
        self.host = host.inner
        self.port = _BROKER_PORT
        self.process.command[:0] = host.enter
        self._cluster_id = cluster_id
        self._voters = ",".join(
            f"{voter.number}@{address}:{directory}"
            for voter, address, directory in zip(voters, addresses, directories, strict=True)
        )

    def _format_arguments(self) -> list[str]:
        return ["-t", self._cluster_id, "--initial-controllers", self._voters]


class KafkaCluster:
    """A broker on each host. To be made, started and asked from a thread that reaches the hosts."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        cluster_id, *directories = [uuid.uuid4().hex[:22] for _ in range(1 + len(hosts))]
        self.nodes = [KafkaNode(host, hosts, cluster_id, directories) for host in hosts]

    @property
    def bootstrap(self) -> str:
        """All brokers, for clients."""
        return ",".join(node.bootstrap for node in self.nodes)

    def bootstrap_from(self, host: Host) -> str:
        """All brokers, that on this host first."""
        nodes = sorted(self.nodes, key=lambda node: node.host != host.inner)
        return ",".join(node.bootstrap for node in nodes)

    async def coordinator(self, group: str) -> int:
        """The number of the host whose broker coordinates the group."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            number: int = await admin.find_coordinator(group)
        finally:
            await admin.close()
        return number

    async def leads(self, number: int, topics: Sequence[str]) -> int:
        """How many of the topics' partitions the broker of this host leads."""
        return sum(part["leader"] == number for part in await self._partitions(topics))

    async def is_whole(self, topics: Sequence[str]) -> bool:
        """Whether every partition has all its copies in sync."""
        return all(len(part["isr"]) == _COPIES for part in await self._partitions(topics))

    async def _partitions(self, topics: Sequence[str]) -> list[dict[str, Any]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            described = await admin.describe_topics(list(topics))
        finally:
            await admin.close()
        return [part for topic in described for part in topic["partitions"]]

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(KafkaNode.start, self.nodes))
            self._wait_until_together()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills the brokers and removes what they kept: an orderly stop would wait for a quorum."""
        for node in self.nodes:
            node.kill()
        for node in self.nodes:
            node.close()

    def _wait_until_together(self) -> None:
        deadline = time.monotonic() + _TOGETHER_SECONDS
        while not all(self._knows_all(node) for node in self.nodes):
            if time.monotonic() > deadline:
                logs = "\n".join(node.process.log_tail() for node in self.nodes)
                raise TimeoutError(f"no cluster after {_TOGETHER_SECONDS} s\n{logs}")
            time.sleep(_POLL_SECONDS)

    def _knows_all(self, node: KafkaNode) -> bool:
        return kafka_client.answers_metadata(node.host, node.port, brokers=len(self.nodes))
