"""Hosts on one machine: network namespaces on two switches, from which a test pulls cables.

::

    world (the test) ─┬─ inner switch ─┬─ host 1, host 2, …      brokers and workers among themselves
                      └─ outer switch ─┘                         workers to receivers

The switches are bridges in a namespace of their own, so the machine's network is not touched, and everything
is gone with the namespaces. The test itself enters ``world`` (``Network.inside``): a namespace belongs to a
thread, and threads and processes that this thread starts begin in it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

from typing_extensions import Self

_PREFIX: Final = "eventproc-"
_MOUNTS: Final = Path("/run/netns")
_COMMAND_SECONDS: Final = 30.0
_CLONE_NEWNET: Final = 0x40000000
# The test publishes on while a broker's cable is out: in seconds, not in the quarter of an hour that Linux gives.
_WORLD_GIVES_UP: Final = {"tcp_retries2": "3", "tcp_syn_retries": "1"}


class Cable(Enum):
    """One of a host's two cables."""

    INNER = "inner"
    OUTER = "outer"


@dataclass(frozen=True, slots=True)
class Host:
    """A namespace with its two addresses."""

    number: int
    namespace: str

    @property
    def inner(self) -> str:
        """Its address among brokers and workers."""
        return f"10.77.0.{self.number + 1}"

    @property
    def outer(self) -> str:
        """Its address towards receivers."""
        return f"10.77.1.{self.number + 1}"

    @property
    def enter(self) -> list[str]:
        """Put before a command, this runs it there, as the same process."""
        return ["nsenter", f"--net={_MOUNTS / self.namespace}", "--"]


class Network:
    """The namespaces of one test: ``world`` and so many hosts, all cables plugged in.

    At its end every process left inside is killed and every namespace removed, also when the interpreter
    exits before; those of a test process that was killed are removed by the next one.
    """

    def __init__(self, hosts: int) -> None:
        self._prefix = f"{_PREFIX}{os.getpid()}-{secrets.token_hex(2)}-"
        self._switch = f"{self._prefix}switch"
        self.world = Host(0, f"{self._prefix}world")
        self.hosts = [Host(number, f"{self._prefix}host{number}") for number in range(1, hosts + 1)]

    def unplug(self, host: Host, *cables: Cable) -> None:
        """Nothing goes in or out here any more, and nobody is told: no reset, no refusal."""
        self._switch_ports(host, cables, "down")

    def plug(self, host: Host, *cables: Cable) -> None:
        """As it was before ``unplug``."""
        self._switch_ports(host, cables, "up")

    @contextlib.contextmanager
    def inside(self, host: Host) -> Iterator[None]:
        """This thread's new sockets, threads and processes are the host's."""
        with _namespace(Path("/proc/self/task") / str(threading.get_native_id()) / "ns/net") as before:
            with _namespace(_MOUNTS / host.namespace) as there:
                _set_namespace(there)
            try:
                yield
            finally:
                _set_namespace(before)

    def left_over(self) -> list[str]:
        """The namespaces of this network that are still there."""
        return [name for name in _namespaces() if name.startswith(self._prefix)]

    def close(self) -> None:
        """Kills what runs in the namespaces and removes them."""
        for name in self.left_over():
            _remove(name)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        _remove_those_of_the_dead()
        atexit.register(self.close)
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self) -> None:
        everyone = [self.world, *self.hosts]
        names = [self._switch, *(host.namespace for host in everyone)]
        _ip_batch([f"netns add {name}" for name in names])
        wiring = [f"link add {cable.value} type bridge" for cable in Cable]
        wiring += [f"link set {cable.value} up" for cable in Cable]
        for host in everyone:
            for cable in Cable:
                port = _port(host, cable)
                wiring.append(f"link add {port} type veth peer name {cable.value} netns {host.namespace}")
                wiring.append(f"link set {port} master {cable.value} up")
        _ip_batch(wiring, self._switch)
        for host in everyone:
            setup = ["link set lo up"]
            for cable, address in ((Cable.INNER, host.inner), (Cable.OUTER, host.outer)):
                setup += [f"address add {address}/24 dev {cable.value}", f"link set {cable.value} up"]
            _ip_batch(setup, host.namespace)
        with self.inside(self.world):
            for name, value in _WORLD_GIVES_UP.items():
                Path(f"/proc/sys/net/ipv4/{name}").write_text(value)

    def _switch_ports(self, host: Host, cables: Sequence[Cable], state: str) -> None:
        _ip_batch([f"link set {_port(host, cable)} {state}" for cable in cables], self._switch)


def missing_for_namespaces() -> str | None:
    """Why no network namespaces can be made here; None where they can."""
    if missing := [name for name in ("ip", "nsenter") if _found(name) is None]:
        return f"needs {' and '.join(missing)} on the PATH (iproute2, util-linux)"
    try:
        with Network(0) as network, network.inside(network.world):
            return None
    except (OSError, RuntimeError) as error:
        return f"not allowed: {error}"


def _port(host: Host, cable: Cable) -> str:
    """The switch's end of a cable."""
    return f"{cable.value}{host.number}"


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _ip(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        [_found("ip") or "ip", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)} {text or ''}: {done.stderr.strip()}")
    return done.stdout


def _ip_batch(lines: Sequence[str], namespace: str | None = None) -> None:
    where = [] if namespace is None else ["-n", namespace]
    _ip(*where, "-batch", "-", text="".join(f"{line}\n" for line in lines))


def _namespaces() -> list[str]:
    return sorted(path.name for path in _MOUNTS.iterdir()) if _MOUNTS.is_dir() else []


def _remove(name: str) -> None:
    for pid in map(int, _ip("netns", "pids", name).split()):
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    _ip("netns", "delete", name)


def _remove_those_of_the_dead() -> None:
    for name in _namespaces():
        owner = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and not _is_alive(int(owner)):
            _remove(name)


def _is_alive(pid: int) -> bool:
    """Whether there is such a process, and more of it than an exit code that nobody has asked for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(") ")[2][0] != "Z"


@contextlib.contextmanager
def _namespace(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _set_namespace(descriptor: int) -> None:
    """``setns(2)``, which Python has from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
